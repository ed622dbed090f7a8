{{- /* A volume that outlives the release: what is on it is not the chart's to delete. */ -}}
{{- define "trainyard.volume" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "trainyard.metadata" . | nindent 2 }}
  annotations: {helm.sh/resource-policy: keep}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storage.className }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ .storage.size }}}}
{{- end }}

{{- define "trainyard.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "trainyard.metadata" . | nindent 2 }}
spec:
  type: {{ if .service.nodePort }}NodePort{{ else }}ClusterIP{{ end }}
  selector:
    {{- include "trainyard.selector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ .port }}
      targetPort: http
      {{- with .service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
{{- end }}
