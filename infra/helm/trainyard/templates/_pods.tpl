{{- /* What every pod of the chart has: nothing it does not need, under the restricted Pod Security standard. */ -}}
{{- define "trainyard.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "trainyard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "trainyard.pod" -}}
enableServiceLinks: false
securityContext:
  {{- include "trainyard.podSecurity" . | nindent 2 }}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* How a pod reaches the lake: addresses from the ConfigMap, keys from the Secret. */ -}}
{{- define "trainyard.lakeEnvFrom" -}}
- configMapRef: {name: {{ .Release.Name }}-lake}
{{- with include "trainyard.lakeSecret" . }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "trainyard.prefectClientEnv" -}}
- {name: PREFECT_HOME, value: /tmp/prefect}
- {name: PREFECT_API_URL, value: {{ include "trainyard.prefectApiUrl" . | quote }}}
- name: PREFECT_API_AUTH_STRING
  valueFrom: {secretKeyRef: {name: {{ include "trainyard.prefectAuthSecret" . }}, key: auth-string}}
{{- end }}

{{- /* How the bootstrap, and helm test after it, reach Prefect and MLflow, and what they go by. */ -}}
{{- define "trainyard.bootstrapEnv" -}}
{{ include "trainyard.prefectClientEnv" . }}
- {name: DO_NOT_TRACK, value: "1"}
- {name: BOOTSTRAP, value: {{ include "trainyard.applied" . }}}
- name: MLFLOW_TRACKING_USERNAME
  valueFrom: {secretKeyRef: {name: {{ include "trainyard.mlflowAuthSecret" . }}, key: username}}
- name: MLFLOW_TRACKING_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "trainyard.mlflowAuthSecret" . }}, key: password}}
{{- end }}

{{- /* A database brought to the schema of the image, before its server starts. What failed is the pod's termination message. */ -}}
{{- define "trainyard.migration" -}}
args:
  - sh
  - -euc
  - |
    if {{ .command }}; then exit; fi
    echo "trainyard: the database {{ with .secret }}of the Secret {{ . }}{{ else }}on volume {{ .volume }}{{ end }} was not brought to the schema of {{ .image }}; the reason is above. With 'Can't locate revision' it was written by a newer version: set {{ .key }} back to the newer image, or restore the {{ if .secret }}database{{ else }}volume{{ end }}." >&2
    exit 1
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}
