{{- /*
Before anything else, since the servers need what is made. Of what succeeded nothing stays; what failed can be looked at until
the next try. */ -}}
{{- define "trainyard.rolesHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
