{{- /* The beginning of every name: of the release and the chart, or as the values say. */}}
{{- define "landfall.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "landfall.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "landfall.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: with serviceAccount.create=false, name the account that is there" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- /* What the pods of the operator are chosen by; it can never change. */}}
{{- define "landfall.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end }}

{{- /* The labels of an object that belongs to no component. */}}
{{- define "landfall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: landfall
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "landfall.controllerLabels" -}}
{{ include "landfall.labels" . }}
app.kubernetes.io/component: controller
{{- end }}

{{- /* The name of everything that belongs to the webhook. */}}
{{- define "landfall.webhook" -}}
{{ include "landfall.fullname" . }}-webhook
{{- end }}

{{- /* What the pods of the webhook are chosen by; it can never change. */}}
{{- define "landfall.webhookSelector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: webhook
{{- end }}

{{- define "landfall.webhookLabels" -}}
{{ include "landfall.labels" . }}
app.kubernetes.io/component: webhook
{{- end }}

{{- /* The webhook configurations, of which each has one webhook: what the webhook writes into one goes with it. */}}
{{- define "landfall.webhookConfigurations" -}}
{{- $names := list (printf "%s-instances" (include "landfall.fullname" .)) -}}
{{- if ne .Values.webhook.deletionGuard "Allow" -}}
{{- $names = append $names (printf "%s-deletions" (include "landfall.fullname" .)) -}}
{{- end -}}
{{- dict "items" $names | toJson -}}
{{- end }}

{{- /* Who is never asked about: the operator, also where it writes as an account of templates. */}}
{{- define "landfall.notTheOperator" -}}
{{- $users := list (printf "system:serviceaccount:%s:%s" .Release.Namespace (include "landfall.serviceAccount" .)) -}}
{{- range (include "landfall.accounts" . | fromJson).items -}}
{{- $users = append $users (printf "system:serviceaccount:%s:%s" .namespace .name) -}}
{{- end -}}
!(request.userInfo.username in {{ $users | uniq | toJson }})
{{- end }}

{{- /* Where nothing is looked at. */}}
{{- define "landfall.webhookNamespaces" -}}
matchExpressions:
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
  {{- range concat (list "kube-system" .Release.Namespace) .Values.webhook.exemptNamespaces | uniq }}
  - {{ . | quote }}
  {{- end }}
{{- end }}

{{- /* What a pod of ours reaches. */}}
{{- define "landfall.egress" -}}
# The apiserver, by the address that every pod is given; so no DNS is needed.
- ports:
  {{- range .Values.networkPolicy.apiserverPorts }}
  - port: {{ . }}
    protocol: TCP
  {{- end }}
  {{- with .Values.networkPolicy.apiserverCidrs }}
  to:
  {{- range . }}
  - ipBlock:
      cidr: {{ . | quote }}
  {{- end }}
  {{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "landfall.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- /* All namespaces into which no template may put anything, the operator's own among them. */}}
{{- define "landfall.reservedNamespaces" -}}
{{- append .Values.reservedNamespaces .Release.Namespace | uniq | join "," -}}
{{- end }}

{{- /* The accounts that the operator may act as, that of the golden path among them: a JSON object whose `items` they are. */}}
{{- define "landfall.accounts" -}}
{{- $accounts := .Values.accounts -}}
{{- if .Values.goldenPath.enabled -}}
{{- $accounts = append $accounts (dict "namespace" .Values.goldenPath.namespace "name" .Values.goldenPath.name) -}}
{{- end -}}
{{- dict "items" ($accounts | uniq) | toJson -}}
{{- end }}

{{- /* The security context of every container: what the Pod Security Standard "restricted" asks for, and a root that cannot be written. */}}
{{- define "landfall.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "landfall.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* What no schema can say of the values, since it is about two of them. */}}
{{- define "landfall.check" -}}
{{- with .Values.leaderElection -}}
{{- if and .enabled (ge (int .renewDeadlineSeconds) (int .leaseDurationSeconds)) -}}
{{- fail (printf "leaderElection.renewDeadlineSeconds: %d is not less than leaderElection.leaseDurationSeconds, %d: a leader has to stop before another may start" (int .renewDeadlineSeconds) (int .leaseDurationSeconds)) -}}
{{- end -}}
{{- if and .enabled (gt (mul 2 (int .retryPeriodSeconds)) (int .renewDeadlineSeconds)) -}}
{{- fail (printf "leaderElection.retryPeriodSeconds: %d is more than half of leaderElection.renewDeadlineSeconds, %d: one renewal that fails must not end a term" (int .retryPeriodSeconds) (int .renewDeadlineSeconds)) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.leaderElection.enabled) (gt (int .Values.controller.replicas) 1) -}}
{{- fail (printf "controller.replicas: %d operators without leader election would undo each other's work; set controller.replicas=1, or leaderElection.enabled=true" (int .Values.controller.replicas)) -}}
{{- end -}}
{{- end }}
