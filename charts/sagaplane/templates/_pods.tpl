{{/* What every pod has in common: the argument is a dict of root, component and, if it is not 10001, uid. */}}
{{- define "sagaplane.pod" -}}
{{- $uid := .uid | default 10001 -}}
serviceAccountName: {{ printf "%s-%s" (include "sagaplane.fullname" .root) (.account | default .component) }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ $uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What a pod of Strimzi's has in common with ours, in its words: the argument is a dict of root and, for its disks, fsGroup. */}}
{{- define "sagaplane.strimziPod" -}}
securityContext:
  runAsNonRoot: true
  {{- with .fsGroup }}
  fsGroup: {{ . }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .root.Values.nodeSelector }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            {{- range $label, $value := . }}
            - {key: {{ $label | quote }}, operator: In, values: [{{ $value | quote }}]}
            {{- end }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas stand on different nodes and zones where there are such. */}}
{{- define "sagaplane.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "sagaplane.selector" $ | nindent 8 }}
  {{- end }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "sagaplane.selector" . | nindent 14 }}
{{- end -}}

{{- define "sagaplane.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/*
What a server inside asks of a node: what it stores in its pod counts against the pod's ephemeral storage, beside logs and /tmp,
for which half a GiB is. The argument is a dict of storage and resources.
*/}}
{{- define "sagaplane.storing" -}}
{{- $resources := .resources | default dict | deepCopy -}}
{{- if eq .storage.type "ephemeral" -}}
{{- $unit := regexFind "[MGT]i$" .storage.size -}}
{{- $mebibytes := mul (trimSuffix $unit .storage.size | int64) (get (dict "Mi" 1 "Gi" 1024 "Ti" 1048576) $unit) -}}
{{- $_ := set $resources "requests" (set ($resources.requests | default dict) "ephemeral-storage" .storage.size) -}}
{{- if hasKey ($resources.limits | default dict) "ephemeral-storage" -}}
{{- $_ := set $resources.limits "ephemeral-storage" (printf "%dMi" (add $mebibytes 512)) -}}
{{- end -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{/* How a user of ours comes to the brokers: the argument is a dict of root and user. */}}
{{- define "sagaplane.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $fullname := include "sagaplane.fullname" .root -}}
- name: SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS
  value: {{ include "sagaplane.bootstrapServers" .root | quote }}
{{- if include "sagaplane.kafkaInside" .root }}
- name: SAGAPLANE_KAFKA_SECURITY_PROTOCOL
  value: SASL_SSL
- name: SAGAPLANE_KAFKA_SASL_MECHANISM
  value: SCRAM-SHA-512
- name: SAGAPLANE_KAFKA_SASL_USERNAME
  value: {{ printf "%s-%s" $fullname .user }}
- name: SAGAPLANE_KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ printf "%s-%s" $fullname .user }}, key: password}
- name: SAGAPLANE_KAFKA_CA_FILE
  value: /etc/sagaplane/kafka/ca.crt
{{- else }}
- name: SAGAPLANE_KAFKA_SECURITY_PROTOCOL
  value: {{ $kafka.securityProtocol }}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
{{- $prefix := ternary (printf "%s-" .user) "" $kafka.userPerService }}
- name: SAGAPLANE_KAFKA_SASL_MECHANISM
  value: {{ $kafka.saslMechanism }}
- name: SAGAPLANE_KAFKA_SASL_USERNAME
  valueFrom:
    secretKeyRef: {name: {{ $kafka.existingSecret | quote }}, key: {{ printf "%susername" $prefix }}}
- name: SAGAPLANE_KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $kafka.existingSecret | quote }}, key: {{ printf "%spassword" $prefix }}}
{{- end }}
{{- if ($kafka.caSecret).name }}
- name: SAGAPLANE_KAFKA_CA_FILE
  value: /etc/sagaplane/kafka/ca.crt
{{- end }}
{{- if ($kafka.clientSecret).name }}
- name: SAGAPLANE_KAFKA_CERT_FILE
  value: /etc/sagaplane/kafka-client/tls.crt
- name: SAGAPLANE_KAFKA_KEY_FILE
  value: /etc/sagaplane/kafka-client/tls.key
{{- end }}
{{- end }}
{{- with $kafka.topicPrefix }}
- name: SAGAPLANE_KAFKA_TOPIC_PREFIX
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Whom the brokers' certificates have to be from, and who a user of ours is: the argument is a dict of root and user. */}}
{{- define "sagaplane.kafkaVolumes" -}}
{{- $kafka := .root.Values.kafka -}}
{{- if include "sagaplane.kafkaInside" .root }}
- name: kafka
  secret:
    secretName: {{ include "sagaplane.fullname" .root }}-cluster-ca-cert
    items: [{key: ca.crt, path: ca.crt}]
{{- else if ($kafka.caSecret).name }}
- name: kafka
  secret:
    secretName: {{ $kafka.caSecret.name | quote }}
    items: [{key: {{ $kafka.caSecret.key | quote }}, path: ca.crt}]
{{- end }}
{{- with $kafka.clientSecret }}
{{- if .name }}
- name: kafka-client
  secret:
    secretName: {{ include "sagaplane.clientSecret" $ | quote }}
    items: [{key: {{ .certificate | quote }}, path: tls.crt}, {key: {{ .key | quote }}, path: tls.key}]
{{- end }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}

{{- define "sagaplane.kafkaMounts" -}}
{{- if or (include "sagaplane.kafkaInside" .) (.Values.kafka.caSecret).name }}
- {name: kafka, mountPath: /etc/sagaplane/kafka, readOnly: true}
{{- end }}
{{- if (.Values.kafka.clientSecret).name }}
- {name: kafka-client, mountPath: /etc/sagaplane/kafka-client, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* The Secret with a user's certificate: the argument is a dict of root and user. */}}
{{- define "sagaplane.clientSecret" -}}
{{ .root.Values.kafka.clientSecret.name | replace "{user}" .user }}
{{- end -}}

{{/* Whom the certificates of databases have to be from. */}}
{{- define "sagaplane.databaseVolumes" -}}
{{- with .Values.postgresql.caSecret }}
{{- if .name }}
- name: postgresql
  secret:
    secretName: {{ .name | quote }}
    items: [{key: {{ .key | quote }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end -}}

{{- define "sagaplane.databaseMounts" -}}
{{- if (.Values.postgresql.caSecret).name }}
- {name: postgresql, mountPath: /etc/sagaplane/postgresql, readOnly: true}
{{- end }}
{{- end -}}

{{/* Where a service's database is: the argument is a dict of root and service. */}}
{{- define "sagaplane.databaseEnv" -}}
- name: {{ .name | default "SAGAPLANE_DATABASE_URL" }}
  valueFrom:
    secretKeyRef:
      {{- if include "sagaplane.databaseInside" .root }}
      name: {{ include "sagaplane.fullname" .root }}-database
      key: {{ .service }}-url
      {{- else }}
      name: {{ .root.Values.postgresql.existingSecret | quote }}
      key: {{ ternary (printf "%s-url" .service) "url" .root.Values.postgresql.urlPerService }}
      {{- end }}
{{- end -}}

{{- define "sagaplane.tracesEnv" -}}
{{- if .Values.traces.endpoint }}
- name: SAGAPLANE_TRACES_ENDPOINT
  value: {{ .Values.traces.endpoint | quote }}
- name: SAGAPLANE_TRACES_SAMPLE
  value: {{ .Values.traces.sample | quote }}
{{- end }}
{{- end -}}

{{/* The port of the collector: that of its pods, if it is told, that in its address, or that of its scheme. */}}
{{- define "sagaplane.tracesPort" -}}
{{- $url := urlParse .Values.traces.endpoint -}}
{{- if .Values.traces.port -}}
{{ .Values.traces.port }}
{{- else if regexMatch ":[0-9]+$" $url.host -}}
{{ $url.host | splitList ":" | last }}
{{- else -}}
{{ ternary 443 80 (eq $url.scheme "https") }}
{{- end -}}
{{- end -}}

{{/* A probe that asks over HTTP: the argument is a dict of path, period, timeout and failures. */}}
{{- define "sagaplane.probe" -}}
httpGet: {path: {{ .path }}, port: http}
periodSeconds: {{ .period }}
timeoutSeconds: {{ .timeout | default 5 }}
failureThreshold: {{ .failures }}
{{- end -}}

{{/* The servers of a service: the argument is a dict of root and service. */}}
{{- define "sagaplane.serviceEnv" -}}
{{- include "sagaplane.kafkaEnv" (dict "root" .root "user" .service) }}
{{ include "sagaplane.databaseEnv" . }}
{{- end -}}

{{- define "sagaplane.serviceVolumes" -}}
{{- include "sagaplane.kafkaVolumes" (dict "root" .root "user" .service) }}
{{- include "sagaplane.databaseVolumes" .root }}
{{- end -}}

{{- define "sagaplane.serviceMounts" -}}
{{- include "sagaplane.kafkaMounts" . }}
{{- include "sagaplane.databaseMounts" . }}
{{- end -}}

{{- define "sagaplane.operatorEnv" -}}
{{- $its := .Values.operator -}}
- name: SAGAPLANE_OPERATOR_HOST
  value: 0.0.0.0
- name: SAGAPLANE_OPERATOR_PORT
  value: "8080"
- name: SAGAPLANE_OPERATOR_ORDER_URL
  value: http://{{ include "sagaplane.fullname" . }}-order.{{ .Release.Namespace }}.svc:3002
- name: SAGAPLANE_OPERATOR_NAMESPACES
  value: {{ include "sagaplane.watched" . | quote }}
- name: SAGAPLANE_OPERATOR_LEASE_NAME
  value: {{ include "sagaplane.fullname" . }}-operator
- name: SAGAPLANE_OPERATOR_LEASE_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: SAGAPLANE_OPERATOR_IDENTITY
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: SAGAPLANE_OPERATOR_MATERIALIZE
  value: {{ $its.materialize.mode }}
- name: SAGAPLANE_OPERATOR_MATERIALIZE_MAX
  value: {{ $its.materialize.max | quote }}
- name: SAGAPLANE_OPERATOR_MATERIALIZE_NAMESPACE
  value: {{ include "sagaplane.materialized" . | quote }}
{{- range $name, $value := $its.settings }}
- name: {{ $name }}
  value: {{ include "sagaplane.setting" $value | quote }}
{{- end }}
{{- with $its.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
