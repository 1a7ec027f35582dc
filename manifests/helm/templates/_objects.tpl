{{- /* One object of manifests/ as this release installs it. Takes object and root; writes YAML. */ -}}
{{- define "object" -}}
{{- $object := .object -}}
{{- $values := .root.Values -}}
{{- $metadata := $object.metadata -}}
{{- $_ := set $metadata "name" (replace "maildomain-controller" $values.name $metadata.name) -}}
{{- if not (has $object.kind (list "ClusterRole" "ClusterRoleBinding")) -}}
{{- $_ := set $metadata "namespace" (.namespace | default .root.Release.Namespace) -}}
{{- end -}}
{{- $_ := set $metadata "labels" (merge (include "labels" .root | fromYaml) ($metadata.labels | default dict)) -}}
{{- if $object.roleRef -}}
{{- $_ := set $object.roleRef "name" (replace "maildomain-controller" $values.name $object.roleRef.name) -}}
{{- range $object.subjects -}}
{{- $_ := set . "name" $values.name -}}
{{- $_ := set . "namespace" $.root.Release.Namespace -}}
{{- end -}}
{{- end -}}
{{- if eq $object.kind "Deployment" }}{{ include "deployment" . }}{{ end -}}
{{- if eq $object.kind "NetworkPolicy" }}{{ include "networkpolicy" . }}{{ end -}}
{{- if eq $object.kind "PrometheusRule" }}{{ include "prometheusrule" . }}{{ end -}}
{{ toYaml $object }}
{{- end -}}

{{- define "labels" -}}
app.kubernetes.io/name: maildomain-controller
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: maildomain-controller
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* Changes the object in place, and writes nothing. */ -}}
{{- define "deployment" -}}
{{- $values := .root.Values -}}
{{- $spec := .object.spec -}}
{{- $pod := $spec.template.spec -}}
{{- $_ := set $spec "replicas" $values.replicas -}}
{{- $_ := set $pod "serviceAccountName" $values.name -}}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $spec.template.metadata "labels" (merge $spec.template.metadata.labels $labels) -}}
{{- if $values.podAnnotations }}{{ $_ := set $spec.template.metadata "annotations" $values.podAnnotations }}{{ end -}}
{{- $image := printf "%s:%s" $values.image.repository ($values.image.tag | default .root.Chart.AppVersion) -}}
{{- $env := $values.extraEnv -}}
{{- with $values.namespaces }}{{ $env = append $env (dict "name" "MDC_NAMESPACES" "value" (join "," .)) }}{{ end -}}
{{- with $values.sourceNamespaces }}{{ $env = append $env (dict "name" "MDC_SOURCE_NAMESPACES" "value" (join "," .)) }}{{ end -}}
{{- if $values.database.caKey -}}
{{- $env = append $env (dict "name" "PGSSLMODE" "value" "verify-full") -}}
{{- $env = append $env (dict "name" "PGSSLROOTCERT" "value" "/etc/maildomain-controller/database/ca.crt") -}}
{{- end -}}
{{- range concat $pod.initContainers $pod.containers -}}
{{- $_ := set . "image" $image -}}
{{- if $values.image.pullPolicy }}{{ $_ := set . "imagePullPolicy" $values.image.pullPolicy }}{{ end -}}
{{- range .env }}{{ if eq .name "MDC_OWNER" }}{{ $_ := set . "value" $values.owner }}{{ end }}{{ end -}}
{{- $_ := set . "env" (concat .env $env) -}}
{{- if and (eq .name "run") $values.resources }}{{ $_ := set . "resources" $values.resources }}{{ end -}}
{{- end -}}
{{- range $pod.volumes -}}
{{- if eq .name "database" -}}
{{- $items := list (dict "key" $values.database.urlKey "path" "url") -}}
{{- with $values.database.caKey }}{{ $items = append $items (dict "key" . "path" "ca.crt") }}{{ end -}}
{{- $_ := set . "secret" (dict "secretName" $values.database.secretName "items" $items) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" -}}
{{- with index $values $key }}{{ $_ := set $pod $key . }}{{ end -}}
{{- end -}}
{{- with $values.image.pullSecrets -}}
{{- $secrets := list }}{{ range . }}{{ $secrets = append $secrets (dict "name" .) }}{{ end -}}
{{- $_ := set $pod "imagePullSecrets" $secrets -}}
{{- end -}}
{{- end -}}

{{- define "networkpolicy" -}}
{{- $values := .root.Values -}}
{{- range .object.spec.egress -}}
{{- range .ports }}{{ if eq (int .port) 5432 }}{{ $_ := set . "port" $values.database.port }}{{ end }}{{ end -}}
{{- end -}}
{{- $_ := set .object.spec "egress" (concat .object.spec.egress $values.networkPolicy.extraEgress) -}}
{{- end -}}

{{- define "prometheusrule" -}}
{{- $base := .root.Values.monitoring.runbookBase -}}
{{- range .object.spec.groups -}}
{{- range .rules }}{{ $_ := set .annotations "runbook_url" (printf "%s%s" $base .annotations.runbook_url) }}{{ end -}}
{{- end -}}
{{- end -}}
