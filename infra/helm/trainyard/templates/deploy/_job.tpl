{{- define "trainyard.deployJob" -}}
{{- $self := dict "root" . "component" "deploy" -}}
apiVersion: batch/v1
kind: Job
metadata:
  generateName: {{ include "trainyard.name" $self }}-
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "trainyard.labels" $self | nindent 4 }}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 900
  ttlSecondsAfterFinished: {{ int .Values.jobs.ttlSeconds }}
  template:
    metadata:
      labels:
        {{- include "trainyard.labels" $self | nindent 8 }}
    spec:
      {{- include "trainyard.pod" . | nindent 6 }}
      serviceAccountName: {{ include "trainyard.name" $self }}
      automountServiceAccountToken: false
      restartPolicy: Never
      containers:
        - name: deploy
          image: {{ .Values.images.flows }} # unless one is filled in, as are arguments, commit and the pull step's text
          imagePullPolicy: {{ .Values.images.pullPolicy }}
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            {{- include "trainyard.containerSecurity" . | nindent 12 }}
          envFrom:
            - configMapRef: {name: {{ .Release.Name }}-jobs}
            {{- include "trainyard.lakeEnvFrom" . | nindent 12 }}
          env:
            {{- include "trainyard.prefectClientEnv" . | nindent 12 }}
            {{- with .Values.git.tokenSecret }}
            - name: GIT_TOKEN
              valueFrom: {secretKeyRef: {name: {{ . }}, key: token}}
            {{- end }}
          resources:
            requests: {cpu: 250m, memory: 384Mi}
            limits: {memory: 1Gi}
          volumeMounts:
            - {name: scratch, mountPath: /tmp}
      volumes:
        - name: scratch
          emptyDir: {sizeLimit: 256Mi}
{{- end }}
