{{- define "trainyard.name" -}}{{ printf "%s-%s" .root.Release.Name .component }}{{- end }}

{{- define "trainyard.selector" -}}
app.kubernetes.io/name: trainyard
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "trainyard.labels" -}}
{{ include "trainyard.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "trainyard.metadata" -}}
name: {{ include "trainyard.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "trainyard.labels" . | nindent 2 }}
{{- end }}

{{- define "trainyard.prefectAuthSecret" -}}
{{ .Values.prefect.existingAuthSecret | default (printf "%s-prefect-auth" .Release.Name) }}
{{- end }}

{{- define "trainyard.mlflowAuthSecret" -}}
{{ .Values.mlflow.existingAuthSecret | default (printf "%s-mlflow-auth" .Release.Name) }}
{{- end }}

{{- /* Empty where the pods get their rights from their service accounts. */ -}}
{{- define "trainyard.lakeSecret" -}}
{{- if .Values.lake.existingSecret }}{{ .Values.lake.existingSecret }}
{{- else if .Values.minio.enabled }}{{ .Release.Name }}-lake{{ end }}
{{- end }}

{{- define "trainyard.prefectApiUrl" -}}
{{ .Values.prefect.externalApiUrl | default (printf "http://%s-prefect:4200/api" .Release.Name) }}
{{- end }}

{{- define "trainyard.mlflowUrl" -}}
{{ .Values.mlflow.externalUrl | default (printf "http://%s-mlflow:5000" .Release.Name) }}
{{- end }}

{{- define "trainyard.lakeEndpoint" -}}
{{- if .Values.lake.endpoint }}{{ .Values.lake.endpoint }}
{{- else if .Values.minio.enabled }}http://{{ .Release.Name }}-minio:9000{{ end }}
{{- end }}

{{- /* The Job of this revision that applies what the flows expect of Prefect. */ -}}
{{- define "trainyard.bootstrapJob" -}}
{{ .Release.Name }}-bootstrap-{{ .Release.Revision }}
{{- end }}

{{- /* That Job and what it applies: revisions begin at 1 again after an uninstallation, which leaves the databases. */ -}}
{{- define "trainyard.applied" -}}
{{ include "trainyard.bootstrapJob" . }}.{{ include "trainyard.bootstrapConfiguration" . | sha256sum | trunc 8 }}
{{- end }}
