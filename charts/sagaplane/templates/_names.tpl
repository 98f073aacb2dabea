{{/* What things are called. */}}

{{- define "sagaplane.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells the pods of one component: the argument is a dict of root and component. It never changes. */}}
{{- define "sagaplane.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "sagaplane.labels" -}}
{{ include "sagaplane.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sagaplane
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods have no version in them, so that pods are not made anew for another version of the chart. */}}
{{- define "sagaplane.podLabels" -}}
{{ include "sagaplane.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace and labels: the argument is a dict of root, component and, where it is not the component's, name. */}}
{{- define "sagaplane.metadata" -}}
name: {{ printf "%s-%s" (include "sagaplane.fullname" .root) (.name | default .component) }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "sagaplane.labels" . | nindent 2 }}
{{- end -}}

{{- define "sagaplane.image" -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) }}
{{- end -}}
{{- end -}}

{{/*
A Job cannot be changed, and not everybody who keeps a cluster by manifests counts revisions: so its name tells what it runs,
by its pod, its scripts, the topics, and the annotations of the services, which may tell of another image under the same tag.
The argument is a dict of root, name and runs, the pod.
*/}}
{{- define "sagaplane.jobName" -}}
{{- $annotations := .root.Values.serviceDefaults.podAnnotations | toJson -}}
{{- $runs := list .runs $annotations (include "sagaplane.shop" .root) (.root.Files.Glob "files/*.sh").AsConfig -}}
{{ printf "%s-%d-%s" .name .root.Release.Revision ($runs | join "\n" | sha256sum | trunc 8) }}
{{- end -}}

{{/* What the services are and need, as their code says. */}}
{{- define "sagaplane.shop" -}}
{{ .Files.Get "files/shop.json" }}
{{- end -}}

{{/* The values of one service: its own over those of all. The analytics' groups change, and their lag tells KEDA nothing. */}}
{{- define "sagaplane.service" -}}
{{- $its := mergeOverwrite (deepCopy .root.Values.serviceDefaults) (index .root.Values.services .service | default dict) -}}
{{- if eq .service "analytics" -}}
{{- $_ := set $its.keda "enabled" false -}}
{{- end -}}
{{ $its | toJson }}
{{- end -}}

{{- define "sagaplane.kafkaInside" -}}
{{- if not .Values.kafka.bootstrapServers }}true{{ end -}}
{{- end -}}

{{- define "sagaplane.databaseInside" -}}
{{- if not .Values.postgresql.existingSecret }}true{{ end -}}
{{- end -}}

{{/* The namespaces that the operator watches, separated by commas; none means all. */}}
{{- define "sagaplane.watched" -}}
{{- if not .Values.operator.clusterWide -}}
{{ .Values.operator.watchNamespaces | default (list .Release.Namespace) | uniq | join "," }}
{{- end -}}
{{- end -}}

{{/* What holds data stays when the release goes, if that is asked for: this is the end of its metadata. */}}
{{- define "sagaplane.kept" -}}
{{- if .Values.keepData }}
  annotations:
    helm.sh/resource-policy: keep
{{- end -}}
{{- end -}}

{{/* A Role elsewhere bears the namespace of the release that it is for: another release may have looked after it before. */}}
{{- define "sagaplane.roleName" -}}
{{- if eq .namespace .root.Release.Namespace -}}
{{ include "sagaplane.fullname" .root }}-operator
{{- else -}}
{{ printf "%s-%s-operator" .root.Release.Namespace (include "sagaplane.fullname" .root) }}
{{- end -}}
{{- end -}}

{{/* What the operator may do where it looks after OrderSagas. */}}
{{- define "sagaplane.operatorRules" -}}
- apiGroups: [sagaplane.io]
  resources: [ordersagas]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [sagaplane.io]
  resources: [sagadefinitions]
  verbs: [get, list, watch]
- apiGroups: [sagaplane.io]
  resources: [ordersagas/status, sagadefinitions/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{- define "sagaplane.bootstrapServers" -}}
{{- if include "sagaplane.kafkaInside" . -}}
{{ printf "%s-kafka-bootstrap.%s.svc:9093" (include "sagaplane.fullname" .) .Release.Namespace }}
{{- else -}}
{{ .Values.kafka.bootstrapServers }}
{{- end -}}
{{- end -}}

{{/* The mechanism by which somebody with a password comes in, as KEDA writes it; nothing where nobody is asked for one. */}}
{{- define "sagaplane.kafkaSasl" -}}
{{- if include "sagaplane.kafkaInside" . -}}
scram_sha512
{{- else if hasPrefix "SASL" .Values.kafka.securityProtocol -}}
{{ get (dict "SCRAM-SHA-512" "scram_sha512" "SCRAM-SHA-256" "scram_sha256" "PLAIN" "plaintext") .Values.kafka.saslMechanism }}
{{- end -}}
{{- end -}}

{{/* Where a saga that came over HTTP or Kafka appears: in the namespace of the release, if the operator looks after that. */}}
{{- define "sagaplane.materialized" -}}
{{- $watched := splitList "," (include "sagaplane.watched" .) -}}
{{- if .Values.operator.materialize.namespace -}}
{{ .Values.operator.materialize.namespace }}
{{- else if or .Values.operator.clusterWide (has .Release.Namespace $watched) -}}
{{ .Release.Namespace }}
{{- else -}}
{{ first $watched }}
{{- end -}}
{{- end -}}

{{/* A setting as its variable has it: whole numbers are written out, however large they are. */}}
{{- define "sagaplane.setting" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}
