{{- /* The chart's name, or the one that replaces it. */ -}}
{{- define "clearml-cleanup.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of the release's objects, at most 52 characters: a Job's name is that of its CronJob and 11 more. */ -}}
{{- define "clearml-cleanup.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if contains $name .Release.Name }}{{ $full = .Release.Name }}{{ end -}}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of the sweep's objects, also at most 52 characters. */ -}}
{{- define "clearml-cleanup.sweepName" -}}
{{- include "clearml-cleanup.fullname" . | trunc 46 | trimSuffix "-" }}-sweep
{{- end -}}

{{- /* The name of the dashboard's ConfigMap. */ -}}
{{- define "clearml-cleanup.dashboardName" -}}
{{- include "clearml-cleanup.fullname" . }}-dashboard
{{- end -}}

{{- /* The names of the Leases, as a JSON list: that of the passes, for any `shards`, and that of the sweep. Their CronJobs have the same names. */ -}}
{{- define "clearml-cleanup.leases" -}}
{{- $names := list (include "clearml-cleanup.fullname" .) -}}
{{- if .Values.sweep.enabled }}{{ $names = append $names (include "clearml-cleanup.sweepName" .) }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{- /* The namespace of all objects. */ -}}
{{- define "clearml-cleanup.namespace" -}}
{{- tpl (.Values.namespaceOverride | default .Release.Namespace) . -}}
{{- end -}}

{{- define "clearml-cleanup.serviceAccountName" -}}
{{- tpl .Values.serviceAccount.name . | default (ternary (include "clearml-cleanup.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- /* Labels for selectors, which never change during the life of a release. */ -}}
{{- define "clearml-cleanup.selectorLabels" -}}
app.kubernetes.io/name: {{ include "clearml-cleanup.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /*
The whole name of an image, from a dict of `registry`, `repository`, `digest` and `tag`. As in a container runtime, a repository whose first
part has a dot or a port, or is `localhost`, names its registry itself.
*/ -}}
{{- define "clearml-cleanup.image" -}}
{{- $whole := regexMatch "^(localhost|[^/]*[.:][^/]*)/" .repository -}}
{{- if and .registry (not $whole) }}{{ .registry }}/{{ end }}{{ .repository }}{{ with .digest }}@{{ . }}{{ else }}:{{ .tag }}{{ end -}}
{{- end -}}

{{- define "clearml-cleanup.globalRegistry" -}}
{{- tpl ((.Values.global).imageRegistry | default "") . -}}
{{- end -}}

{{- define "clearml-cleanup.jobImage" -}}
{{- $given := include "clearml-cleanup.yaml" (dict "root" . "value" .Values.image) | fromYaml -}}
{{- $own := dict "tag" ($given.tag | default .Chart.AppVersion) "registry" (include "clearml-cleanup.globalRegistry" . | default $given.registry) -}}
{{- include "clearml-cleanup.image" (merge $own $given) -}}
{{- end -}}

{{- define "clearml-cleanup.sandboxImage" -}}
{{- $given := include "clearml-cleanup.yaml" (dict "root" . "value" .Values.sandbox.image) | fromYaml -}}
{{- $own := dict
  "tag" ($given.tag | default (printf "%s-sandbox" .Chart.AppVersion))
  "registry" (coalesce (include "clearml-cleanup.globalRegistry" .) $given.registry (tpl .Values.image.registry .)) -}}
{{- include "clearml-cleanup.image" (merge $own $given) -}}
{{- end -}}

{{- /* The secrets for pulling images, global ones first, each once; as names or as `name: …`, as other charts take them. */ -}}
{{- define "clearml-cleanup.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) .Values.imagePullSecrets -}}
{{- $name := . -}}
{{- if kindIs "map" . }}{{ $name = .name }}{{ end -}}
{{- $names = append $names (tpl $name $) -}}
{{- end -}}
{{- range $names | uniq }}
- name: {{ . | quote }}
{{- end -}}
{{- end -}}
