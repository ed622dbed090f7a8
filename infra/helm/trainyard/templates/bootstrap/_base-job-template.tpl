{{- /*
The Job of a flow run. What stands in backquotes is filled in by the worker from the job variables of the run's deployment;
the variables, with their defaults and what the Prefect UI says of them, come second.
*/ -}}
{{- define "trainyard.baseJobTemplate" -}}
job_configuration:
  name: {{`"{{ name }}"`}}
  namespace: {{ .Release.Namespace }}
  command: {{`"{{ command }}"`}}
  env: {{`"{{ env }}"`}}
  labels: {{`"{{ labels }}"`}}
  job_manifest:
    apiVersion: batch/v1
    kind: Job
    metadata:
      namespace: {{ .Release.Namespace }}
      generateName: {{`"{{ name }}-"`}}
      labels: &labels
        app.kubernetes.io/instance: {{ .Release.Name }}
        app.kubernetes.io/component: job
        trainyard/model: {{`"{{ model }}"`}}
        trainyard/image: {{`"{{ image }}"`}}
        trainyard/commit: {{`"{{ commit }}"`}}
    spec:
      backoffLimit: 0 # a pod that was sent away is rescheduled by Prefect, which then knows of it
      ttlSecondsAfterFinished: {{`"{{ ttl_seconds }}"`}}
      activeDeadlineSeconds: {{`"{{ deadline_seconds }}"`}}
      template:
        metadata:
          labels: *labels
        spec:
          parallelism: 1
          completions: 1
          restartPolicy: Never
          enableServiceLinks: false
          automountServiceAccountToken: false
          terminationGracePeriodSeconds: 30
          serviceAccountName: {{`"{{ service_account_name }}"`}}
          priorityClassName: {{`"{{ priority_class_name }}"`}}
          nodeSelector: {{`"{{ node_selector }}"`}}
          tolerations: {{`"{{ tolerations }}"`}}
          securityContext:
            {{- include "trainyard.podSecurity" . | nindent 12 }}
          {{- with .Values.images.pullSecrets }}
          imagePullSecrets:
            {{- range . }}
            - name: {{ . }}
            {{- end }}
          {{- end }}
          containers:
            - name: prefect-job
              image: {{`"{{ image }}"`}}
              imagePullPolicy: {{ .Values.images.pullPolicy }}
              args: {{`"{{ command }}"`}}
              securityContext:
                {{- include "trainyard.containerSecurity" . | nindent 16 }}
              envFrom:
                - configMapRef: {name: {{ .Release.Name }}-jobs}
                {{- include "trainyard.lakeEnvFrom" . | nindent 16 }}
              env:
                - name: TRAINYARD_GIT_SHA
                  value: {{`"{{ commit }}"`}}
                - name: TRAINYARD_THREADS
                  valueFrom: {resourceFieldRef: {containerName: prefect-job, resource: limits.cpu}}
                - name: MLFLOW_TRACKING_USERNAME
                  valueFrom: {secretKeyRef: {name: {{ include "trainyard.mlflowAuthSecret" . }}, key: username}}
                - name: MLFLOW_TRACKING_PASSWORD
                  valueFrom: {secretKeyRef: {name: {{ include "trainyard.mlflowAuthSecret" . }}, key: password}}
                {{- with .Values.git.tokenSecret }}
                - name: GIT_TOKEN
                  valueFrom: {secretKeyRef: {name: {{ . }}, key: token}}
                {{- end }}
              resources:
                requests: {cpu: {{`"{{ cpu_request }}"`}}, memory: {{`"{{ memory }}"`}}, ephemeral-storage: {{`"{{ scratch }}"`}}}
                limits: {cpu: {{`"{{ cpu_limit }}"`}}, memory: {{`"{{ memory }}"`}}}
              volumeMounts:
                - {name: scratch, mountPath: /tmp}
          volumes:
            - name: scratch
              emptyDir: {sizeLimit: {{`"{{ scratch }}"`}}}
variables:
  type: object
  required: [image]
  properties:
    image:
      type: string
      title: Image
      description: Image of the run, by tag or digest. Set by a deploy, together with the commit.
    commit:
      type: string
      title: Commit
      description: Commit of the repository that the run clones, in full. Set by a deploy, together with the image.
      pattern: ^[0-9a-f]{40}$
    model:
      type: string
      title: Model
      description: The model a run is about; a label of its Job and pod.
    cpu_request:
      type: string
      title: CPU request
      description: Processors the run is sure of.
      default: {{ .Values.jobs.cpuRequest | quote }}
    cpu_limit:
      type: string
      title: CPU limit
      description: Processors the run may use. Training uses as many threads.
      default: {{ .Values.jobs.cpuLimit | quote }}
    memory:
      type: string
      title: Memory
      description: Memory the run is sure of and may use. Beyond it the run is killed and ends Crashed.
      default: {{ .Values.jobs.memory | quote }}
    scratch:
      type: string
      title: Scratch space
      description: Room for files under /tmp. Beyond it the pod is evicted.
      default: {{ .Values.jobs.scratch | quote }}
    deadline_seconds:
      type: integer
      title: Deadline
      description: Seconds after which the Job is ended, from its creation on. Longer than the flow's own timeout.
      default: {{ int .Values.jobs.deadlineSeconds }}
    ttl_seconds:
      type: integer
      title: Time to live
      description: Seconds a finished Job stays to be looked at.
      default: {{ int .Values.jobs.ttlSeconds }}
    service_account_name:
      type: string
      title: Service account
      description: Service account of the run's pod. It has no token; on AWS it has a role.
      default: {{ .Release.Name }}-jobs
    priority_class_name:
      type: string
      title: Priority class
      description: Priority class of the run's pod.
    node_selector:
      type: object
      title: Node selector
      description: Labels of the nodes the run may go to.
      additionalProperties: {type: string}
    tolerations:
      type: array
      title: Tolerations
      description: Taints of nodes the run tolerates.
      items: {type: object}
    name:
      type: string
      title: Name
      description: Name of the Job. Made from the run's when left empty.
    command:
      type: string
      title: Command
      description: What the pod runs. Prefect's own command when left empty.
    labels:
      type: object
      title: Labels
      description: Further labels of the Job and its pod.
      additionalProperties: {type: string}
    env:
      type: object
      title: Environment
      description: Further environment of the run. No secrets, since everyone sees it.
      additionalProperties: {type: string}
{{- end }}
