{{- /* Whether users and databases are made: where the owner's login is in the cluster, or where no cluster is asked. */ -}}
{{- define "trainyard.makesRoles" -}}
{{- $owner := .Values.postgres.ownerSecret }}
{{- if and $owner (or (lookup "v1" "Secret" .Release.Namespace $owner) (not (lookup "v1" "Namespace" "" .Release.Namespace))) }}true{{ end }}
{{- end }}

{{- define "trainyard.postgresEnv" -}}
- {name: PGSSLMODE, value: {{ .Values.postgres.sslMode }}}
{{- with .Values.postgres.caConfigMap }}
- {name: PGSSLROOTCERT, value: /etc/postgres/ca.crt}
{{- end }}
{{- end }}

{{- define "trainyard.postgresMounts" -}}
{{- with .Values.postgres.caConfigMap }}
- {name: authority, mountPath: /etc/postgres, readOnly: true}
{{- end }}
{{- end }}

{{- /* Secrets as folders of their names. One that is not there is empty, so that the program can say so. */ -}}
{{- define "trainyard.loginMounts" -}}
{{- range $number, $secret := .secrets }}
- {name: login-{{ $number }}, mountPath: /etc/logins/{{ $secret }}, readOnly: true}
{{- end }}
{{ include "trainyard.postgresMounts" .root | trim }}
{{- end }}

{{- define "trainyard.postgresVolumes" -}}
{{- range $number, $secret := .secrets }}
- name: login-{{ $number }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440, optional: true}
{{- end }}
{{- with .root.Values.postgres.caConfigMap }}
- name: authority
  configMap: {name: {{ . }}, optional: true}
{{- end }}
{{- end }}

{{- /* What the check of the logins needs, beside what every login needs. */ -}}
{{- define "trainyard.loginCheckVolumes" -}}
- name: programs
  configMap: {name: {{ .root.Release.Name }}-postgres}
{{ include "trainyard.postgresVolumes" . | trim }}
{{- if .services }}
- name: services
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- end }}
{{- end }}

{{- /* A Secret that was changed starts its server anew at the next upgrade. */ -}}
{{- define "trainyard.loginVersions" -}}
{{- $versions := list }}
{{- range .secrets }}
{{- $versions = append $versions (get ((lookup "v1" "Secret" $.root.Release.Namespace .).metadata | default dict) "resourceVersion" | default "0") }}
{{- end }}
{{- join "-" $versions }}
{{- end }}

{{- /* Postgres's addresses hold no login: the drivers find it in PGHOST and its like, or in the file of services. */ -}}
{{- define "trainyard.mlflowUri" -}}
{{- if .Values.postgres.mlflowSecret }}postgresql:///?service=mlflow{{ else }}sqlite:////data/mlflow.db{{ end }}
{{- end }}

{{- define "trainyard.mlflowUsersUri" -}}
{{- if .Values.postgres.mlflowUsersSecret }}postgresql:///?service=users{{ else }}sqlite:////data/users.db{{ end }}
{{- end }}

{{- define "trainyard.prefectDatabaseEnv" -}}
{{- if .Values.postgres.prefectSecret }}
- {name: PREFECT_SERVER_DATABASE_CONNECTION_URL, value: "postgresql+asyncpg://"}
{{- range $name, $key := dict "PGHOST" "host" "PGPORT" "port" "PGDATABASE" "database" "PGUSER" "username" "PGPASSWORD" "password" }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.postgres.prefectSecret }}, key: {{ $key }}}}
{{- end }}
{{ include "trainyard.postgresEnv" . }}
{{- else }}
- {name: PREFECT_SERVER_DATABASE_CONNECTION_URL, value: "sqlite+aiosqlite:////data/prefect.db"}
{{- end }}
{{- end }}

{{- /* The check of the logins, before anything else of a pod: the rest of its init containers follow. */ -}}
{{- define "trainyard.loginCheck" -}}
- name: logins
  image: {{ .image }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  args:
    {{- toYaml (concat (list "python3" "/etc/trainyard/logins.py") .args) | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "trainyard.containerSecurity" .root | nindent 4 }}
  env:
    {{- include "trainyard.postgresEnv" .root | nindent 4 }}
    {{- if .services }}
    - {name: PGSERVICEFILE, value: /run/postgres/services}
    {{- end }}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 128Mi}
  volumeMounts:
    - {name: programs, mountPath: /etc/trainyard, readOnly: true}
    {{- include "trainyard.loginMounts" . | trim | nindent 4 }}
    {{- if .services }}
    - {name: services, mountPath: /run/postgres}
    {{- end }}
{{- end }}
