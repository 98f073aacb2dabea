{{/* What makes roles and tables, as a Job's pod. */}}
{{- define "sagaplane.tables" -}}
{{- $services := keys (include "sagaplane.shop" . | fromJson).services | sortAlpha -}}
{{- $fullname := include "sagaplane.fullname" . -}}
{{- $part := dict "root" . "component" "setup" -}}
{{- $database := printf "%s-database" $fullname -}}
metadata:
  labels:
    {{- include "sagaplane.podLabels" $part | nindent 4 }}
spec:
  {{- include "sagaplane.pod" $part | nindent 2 }}
  restartPolicy: OnFailure
  {{- if include "sagaplane.databaseInside" . }}
  initContainers:
    - name: roles
      image: {{ include "sagaplane.image" (dict "root" . "image" .Values.images.postgresql) }}
      imagePullPolicy: {{ .Values.images.postgresql.pullPolicy }}
      command: [sh, /etc/sagaplane/setup/roles.sh]
      {{- include "sagaplane.confined" . | nindent 6 }}
      env:
        - {name: PGHOST, value: {{ $fullname }}-postgresql}
        - {name: PGUSER, value: postgres}
        - name: PGPASSWORD
          valueFrom:
            secretKeyRef: {name: {{ $database }}, key: password}
        - {name: SERVICES, value: {{ join " " $services | quote }}}
        {{- range $services }}
        - name: password_{{ . }}
          valueFrom:
            secretKeyRef: {name: {{ $database }}, key: {{ . }}-password}
        {{- end }}
      resources:
        {{- toYaml .Values.serviceDefaults.resources | nindent 8 }}
      volumeMounts:
        - {name: setup, mountPath: /etc/sagaplane/setup, readOnly: true}
  {{- end }}
  containers:
    - name: tables
      image: {{ include "sagaplane.image" (dict "root" . "image" .Values.images.services) }}
      imagePullPolicy: {{ .Values.images.services.pullPolicy }}
      command: [sh, /etc/sagaplane/setup/tables.sh]
      {{- include "sagaplane.confined" . | nindent 6 }}
      env:
        - {name: SERVICES, value: {{ join " " $services | quote }}}
        {{- range $services }}
        {{- include "sagaplane.databaseEnv" (dict "root" $ "service" . "name" (printf "url_%s" .)) | nindent 8 }}
        {{- end }}
      resources:
        {{- toYaml .Values.serviceDefaults.resources | nindent 8 }}
      volumeMounts:
        - {name: setup, mountPath: /etc/sagaplane/setup, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- include "sagaplane.databaseMounts" . | nindent 8 }}
  volumes:
    - name: setup
      configMap: {name: {{ $fullname }}-setup}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- include "sagaplane.databaseVolumes" . | nindent 4 }}
{{- end -}}

{{/* What makes topics, as a Job's pod. */}}
{{- define "sagaplane.topics" -}}
{{- $part := dict "root" . "component" "setup" -}}
metadata:
  labels:
    {{- include "sagaplane.podLabels" $part | nindent 4 }}
spec:
  {{- include "sagaplane.pod" $part | nindent 2 }}
  restartPolicy: OnFailure
  containers:
    - name: topics
      image: {{ include "sagaplane.image" (dict "root" . "image" .Values.images.services) }}
      imagePullPolicy: {{ .Values.images.services.pullPolicy }}
      command:
        - sh
        - /etc/sagaplane/setup/topics.sh
        - --partitions={{ .Values.kafka.topics.partitions }}
        - --replication={{ .Values.kafka.topics.replication }}
      {{- include "sagaplane.confined" . | nindent 6 }}
      env:
        {{- include "sagaplane.kafkaEnv" (dict "root" . "user" "topics") | nindent 8 }}
      resources:
        {{- toYaml .Values.serviceDefaults.resources | nindent 8 }}
      volumeMounts:
        - {name: setup, mountPath: /etc/sagaplane/setup, readOnly: true}
        {{- include "sagaplane.kafkaMounts" . | nindent 8 }}
  volumes:
    - name: setup
      configMap: {name: {{ include "sagaplane.fullname" . }}-setup}
    {{- include "sagaplane.kafkaVolumes" (dict "root" . "user" "topics") | nindent 4 }}
{{- end -}}
