{{- /* The connection to the sandbox, or to the server under `clearml`. With a clearml.conf, only values that are set replace those of the file. */ -}}
{{- define "clearml-cleanup.connection" -}}
{{- if .Values.sandbox.enabled -}}
{{- $sandbox := printf "http://%s-sandbox" (include "clearml-cleanup.fullname" .) -}}
CLEARML_API_HOST: {{ printf "%s:8008" $sandbox | quote }}
CLEARML_FILES_HOST: {{ printf "%s:8081" $sandbox | quote }}
{{- else -}}
{{- $defaults := not .Values.clearml.existingConfigSecret -}}
{{- $hosts := dict
  "CLEARML_API_HOST" (tpl .Values.clearml.apiHost . | default (ternary "http://clearml-apiserver:8008" "" $defaults))
  "CLEARML_FILES_HOST" (tpl .Values.clearml.filesHost . | default (ternary "http://clearml-fileserver:8081" "" $defaults))
  "CLEARML_WEB_HOST" (tpl .Values.clearml.webHost . | default (ternary "http://clearml-webserver:8080" "" $defaults)) -}}
{{- range $name, $value := $hosts }}
{{- if $value }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with .Values.clearml.filesUrlPrefixes }}
CLEANUP_FILES_URL_PREFIXES: {{ include "clearml-cleanup.rendered" (dict "root" $ "value" .) | quote }}
{{- end }}
{{- $verify := include "clearml-cleanup.verify" (dict "root" . "value" .Values.clearml.verifyCertificate) }}
{{- if ne $verify "true" }}
CLEARML_API_HOST_VERIFY_CERT: {{ $verify | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{- /*
Whether certificates are verified, and with what: the value itself, or `caBundle` where it says only that they are. A dict: `root`,
the chart's context; `value`.
*/ -}}
{{- define "clearml-cleanup.verify" -}}
{{- $given := toString .value -}}
{{- if eq $given "true" }}{{ include "clearml-cleanup.caFile" .root | default "true" }}{{ else }}{{ tpl $given .root }}{{ end -}}
{{- end -}}

{{- /* The folder in the pod where `caBundle` is. */ -}}
{{- define "clearml-cleanup.caFolder" -}}
/etc/clearml-cleanup/ca
{{- end -}}

{{- /* The path of `caBundle` in the pod; empty if there is none. */ -}}
{{- define "clearml-cleanup.caFile" -}}
{{- with .Values.caBundle -}}
{{- if and .configMap .secret -}}
{{- fail "\ncaBundle.configMap and caBundle.secret are both set, but the certificates come from only one of them. Leave one out." -}}
{{- end -}}
{{- if or .configMap .secret }}{{ include "clearml-cleanup.caFolder" $ }}/ca.crt{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The source of its volume. */ -}}
{{- define "clearml-cleanup.caSource" -}}
{{- with .Values.caBundle -}}
{{- if .configMap -}}
configMap:
  name: {{ tpl .configMap $ | quote }}
{{- else -}}
secret:
  secretName: {{ tpl .secret $ | quote }}
{{- end }}
  items:
    - key: {{ .key | default "ca.crt" | quote }}
      path: ca.crt
{{- end -}}
{{- end -}}

{{- /* The proxy, for programs that read these names in upper case or in lower case. */ -}}
{{- define "clearml-cleanup.proxy" -}}
{{- range $name, $value := dict "HTTP_PROXY" (.Values.proxy).httpProxy "HTTPS_PROXY" (.Values.proxy).httpsProxy -}}
{{- with $value }}
{{ $name }}: {{ tpl . $ | quote }}
{{ lower $name }}: {{ tpl . $ | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The port of a URL. */ -}}
{{- define "clearml-cleanup.portOf" -}}
{{- $url := urlParse . -}}
{{- regexFind ":\\d+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{- /*
Hosts that are reached without the proxy: Kubernetes' API by its address and its name, services, and servers whose names have no dot,
so that they are in this namespace. Empty without a proxy.
*/ -}}
{{- define "clearml-cleanup.noProxy" -}}
{{- if include "clearml-cleanup.proxy" . -}}
{{- $hosts := list "localhost" "127.0.0.1" "$(KUBERNETES_SERVICE_HOST)" "kubernetes.default" ".svc" ".cluster.local" -}}
{{- $metrics := list (include "clearml-cleanup.pushgateway" .) (tpl (((.Values.metrics).otlp).endpoint | default "") .) -}}
{{- range concat (include "clearml-cleanup.connection" . | fromYaml | values | sortAlpha) $metrics -}}
{{- if hasPrefix "http" . -}}
{{- $host := (urlParse .).hostname -}}
{{- if regexMatch "^[^.:]+$" $host }}{{ $hosts = append $hosts $host }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range (.Values.proxy).noProxy }}{{ $hosts = append $hosts (tpl . $) }}{{ end -}}
{{- $hosts | uniq | join "," -}}
{{- end -}}
{{- end -}}

{{- /* Whether passes and sweeps only report because of `dryRunFirst`. A sandbox has nothing that could be lost. */ -}}
{{- define "clearml-cleanup.firstDryRun" -}}
{{- if and .Values.dryRunFirst (not .Values.sandbox.enabled) }}true{{ end -}}
{{- end -}}

{{- define "clearml-cleanup.sweepDeletes" -}}
{{- if and .Values.sweep.delete (not (include "clearml-cleanup.firstDryRun" .)) }}true{{ end -}}
{{- end -}}

{{- /* The folder in the pod where the file with policies is. */ -}}
{{- define "clearml-cleanup.policiesFolder" -}}
/etc/clearml-cleanup/policies
{{- end -}}

{{- /* The name of the ConfigMap with policies; empty if there are none. */ -}}
{{- define "clearml-cleanup.policiesConfigMap" -}}
{{- $existing := .Values.existingPoliciesConfigMap -}}
{{- if and .Values.policies $existing -}}
{{- fail "\npolicies and existingPoliciesConfigMap are both set, but policies come from only one of them. Leave one out." -}}
{{- end -}}
{{- if and (or .Values.policies $existing) .Values.clearml.task.enabled (eq .Values.clearml.task.mode "agent") -}}
{{- fail "\npolicies and clearml.task.mode=agent contradict each other: an agent can't read the file with policies. Set clearml.task.mode=pod, or leave the policies out." -}}
{{- end -}}
{{- if and (not .Values.policies) (kindIs "map" .Values.policyTaskTags | or (eq (toString .Values.policyTaskTags) "true")) -}}
{{- fail "\npolicyTaskTags is set, but there are no policies that it is for. Set policies, too; with existingPoliciesConfigMap, write task_tags into its file." -}}
{{- end -}}
{{- if $existing }}{{ tpl $existing . }}{{ else if .Values.policies }}{{ include "clearml-cleanup.fullname" . }}-policies{{ end -}}
{{- end -}}

{{- /* The file with policies that the chart creates. Names in it are ClearML's, so nothing in it is a template. */ -}}
{{- define "clearml-cleanup.policiesFile" -}}
{{- $file := dict "policies" .Values.policies -}}
{{- if .Values.policyTaskTags }}{{ $file = set $file "task_tags" .Values.policyTaskTags }}{{ end -}}
{{- toYaml $file -}}
{{- end -}}

{{- /* The task in ClearML. */ -}}
{{- define "clearml-cleanup.task" -}}
{{- with .Values.clearml.task -}}
{{- if .enabled -}}
CLEANUP_TASK: "true"
CLEANUP_TASK_MODE: {{ .mode | quote }}
CLEANUP_TASK_QUEUE: {{ tpl .queue $ | quote }}
CLEANUP_TASK_PROJECT: {{ tpl .project $ | quote }}
CLEANUP_TASK_NAME: {{ tpl .name $ | quote }}
{{- if not .required }}
CLEANUP_TASK_REQUIRED: "false"
{{- end }}
CLEANUP_TASK_RUNS_KEPT: {{ .runsKept | int64 | quote }}
{{- with .editable }}
CLEANUP_TASK_EDITABLE: {{ toJson . | quote }}
{{- end }}
{{- if not (kindIs "invalid" .minThresholdDays) }}
CLEANUP_TASK_MIN_THRESHOLD_DAYS: {{ .minThresholdDays | toString | quote }}
{{- end }}
{{- if .allowForceDelete }}
CLEANUP_TASK_ALLOW_FORCE_DELETE: "true"
{{- end }}
{{- with .requirement }}
CLEANUP_TASK_REQUIREMENT: {{ tpl . $ | quote }}
{{- end }}
{{- if not (kindIs "invalid" $.Values.cleanup.cleanupPeriodInDays) }}
CLEANUP_PERIOD_IN_DAYS: {{ $.Values.cleanup.cleanupPeriodInDays | toString | quote }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The settings under `cleanup` as variables. null and an empty list keep the job's own default. */ -}}
{{- define "clearml-cleanup.settings" -}}
{{- $settings := omit .Values.cleanup "cleanupPeriodInDays" -}}
{{- /* Also where they are null, which takes a key away. */ -}}
{{- if include "clearml-cleanup.firstDryRun" . }}{{ $settings = set $settings "dryRun" true }}{{ end -}}
{{- if include "clearml-cleanup.caFile" . -}}
{{- $verify := ternary true $settings.storesVerifyCertificate (kindIs "invalid" $settings.storesVerifyCertificate) -}}
{{- $settings = set $settings "storesVerifyCertificate" (include "clearml-cleanup.verify" (dict "root" . "value" $verify)) -}}
{{- end -}}
{{- range $name, $value := $settings }}
{{- $none := or (kindIs "invalid" $value) (and (kindIs "slice" $value) (not $value)) (and (eq $name "runAsService") (not $value)) }}
{{- if not $none }}
{{- /* Places, but not the names of projects and tags: one of them may have braces, and must stay protected. */}}
{{- if has $name (list "audit" "mountedFolders" "report" "storesVerifyCertificate") }}
{{- $value = (include "clearml-cleanup.rendered" (dict "root" $ "value" $value) | printf "{\"value\":%s}" | fromJson).value }}
{{- end }}
CLEANUP_{{ $name | snakecase | upper }}: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The Secret with the credentials; empty if a clearml.conf has them. */ -}}
{{- define "clearml-cleanup.credentials" -}}
{{- $clearml := .Values.clearml -}}
{{- $given := or $clearml.accessKey $clearml.secretKey -}}
{{- if .Values.sandbox.enabled -}}
{{- include "clearml-cleanup.fullname" . -}}
{{- else if and $given $clearml.existingSecret -}}
{{- fail "\nclearml.existingSecret and clearml.accessKey/secretKey are both set, but credentials come from only one of them. Leave one out." -}}
{{- else if $clearml.existingSecret -}}
{{- tpl $clearml.existingSecret . -}}
{{- else if and $clearml.accessKey $clearml.secretKey -}}
{{- include "clearml-cleanup.fullname" . -}}
{{- else if $given -}}
{{- fail (printf "\nclearml.%s is missing: credentials consist of an access key and a secret key. Set both." (ternary "secretKey" "accessKey" (not (empty $clearml.accessKey)))) -}}
{{- else if not $clearml.existingConfigSecret -}}
{{- fail "\nClearML's credentials are missing. Create them in ClearML's web app (Settings > Workspace > Create new credentials), and add\n  --set clearml.accessKey=YOUR_ACCESS_KEY,clearml.secretKey=YOUR_SECRET_KEY\nor, if they are in a Secret,\n  --set clearml.existingSecret=NAME,clearml.existingSecretKeys.accessKey=KEY,clearml.existingSecretKeys.secretKey=KEY\nTo try the chart without a ClearML Server: --set sandbox.enabled=true" -}}
{{- end -}}
{{- end -}}

{{- /* Whether the chart creates that Secret. */ -}}
{{- define "clearml-cleanup.ownSecret" -}}
{{- if or .Values.sandbox.enabled (and (include "clearml-cleanup.credentials" .) (not .Values.clearml.existingSecret)) }}true{{ end -}}
{{- end -}}
