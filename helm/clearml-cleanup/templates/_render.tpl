{{- /*
A value with its templates rendered, as JSON. From a dict: `root`, the chart's context; `value`. Only texts that have `{{` are
rendered, and each stays one text, so nothing else changes its type or its form.
*/ -}}
{{- define "clearml-cleanup.rendered" -}}
{{- $root := .root -}}
{{- $value := .value -}}
{{- if kindIs "string" $value -}}
{{- if contains "{{" $value }}{{ tpl $value $root | toJson }}{{ else }}{{ toJson $value }}{{ end -}}
{{- else if kindIs "slice" $value -}}
{{- $parts := list -}}
{{- range $value }}{{ $parts = append $parts (include "clearml-cleanup.rendered" (dict "root" $root "value" .)) }}{{ end -}}
[{{ join "," $parts }}]
{{- else if kindIs "map" $value -}}
{{- $parts := list -}}
{{- range $key, $inner := $value -}}
{{- $parts = append $parts (printf "%s:%s" (tpl $key $root | toJson) (include "clearml-cleanup.rendered" (dict "root" $root "value" $inner))) -}}
{{- end -}}
{{ "{" }}{{ join "," $parts }}{{ "}" }}
{{- else -}}
{{- toJson $value -}}
{{- end -}}
{{- end -}}

{{- /* The same as YAML. */ -}}
{{- define "clearml-cleanup.yaml" -}}
{{- (include "clearml-cleanup.rendered" . | printf "{\"value\":%s}" | fromJson).value | toYaml -}}
{{- end -}}

{{- /* The labels that are the chart's own. */ -}}
{{- define "clearml-cleanup.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "clearml-cleanup.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /*
Labels and annotations of an object, or of a template for one. A dict: `root`, the chart's context; `component`, its part in the
release, if it has one; `labels` and `annotations`, lists of values. Where two have the same key, the chart's own wins, then what
is first in its list; `commonLabels` and `commonAnnotations` come last.
*/ -}}
{{- define "clearml-cleanup.marks" -}}
{{- $root := .root -}}
{{- $labels := include "clearml-cleanup.labels" $root | fromYaml -}}
{{- with .component }}{{ $labels = set $labels "app.kubernetes.io/component" . }}{{ end -}}
{{- range append (.labels | default list) $root.Values.commonLabels -}}
{{- $labels = merge $labels (include "clearml-cleanup.yaml" (dict "root" $root "value" (. | default dict)) | fromYaml) -}}
{{- end -}}
{{- $annotations := dict -}}
{{- range append (.annotations | default list) $root.Values.commonAnnotations -}}
{{- $annotations = merge $annotations (include "clearml-cleanup.yaml" (dict "root" $root "value" (. | default dict)) | fromYaml) -}}
{{- end -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The metadata of an object: `name`; `namespace`, if it has one of its own; and what `clearml-cleanup.marks` takes. */ -}}
{{- define "clearml-cleanup.metadata" -}}
name: {{ .name | quote }}
namespace: {{ tpl (.namespace | default (include "clearml-cleanup.namespace" .root)) .root | quote }}
{{ include "clearml-cleanup.marks" . }}
{{- end -}}
