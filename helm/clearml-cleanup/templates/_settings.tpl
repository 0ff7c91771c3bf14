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
CLEANUP_FILES_URL_PREFIXES: {{ toJson . | quote }}
{{- end }}
{{- if not (and (kindIs "bool" .Values.clearml.verifyCertificate) .Values.clearml.verifyCertificate) }}
CLEARML_API_HOST_VERIFY_CERT: {{ .Values.clearml.verifyCertificate | toString | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{- /* The port of a URL. */ -}}
{{- define "clearml-cleanup.portOf" -}}
{{- $url := urlParse . -}}
{{- regexFind ":\\d+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{- /* The task in ClearML. */ -}}
{{- define "clearml-cleanup.task" -}}
{{- with .Values.clearml.task -}}
{{- if .enabled -}}
CLEANUP_TASK: "true"
CLEANUP_TASK_MODE: {{ .mode | quote }}
CLEANUP_TASK_QUEUE: {{ .queue | quote }}
CLEANUP_TASK_PROJECT: {{ .project | quote }}
CLEANUP_TASK_NAME: {{ .name | quote }}
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
CLEANUP_TASK_REQUIREMENT: {{ . | quote }}
{{- end }}
{{- if not (kindIs "invalid" $.Values.cleanup.cleanupPeriodInDays) }}
CLEANUP_PERIOD_IN_DAYS: {{ $.Values.cleanup.cleanupPeriodInDays | toString | quote }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The settings under `cleanup` as variables. null and an empty list keep the job's own default. */ -}}
{{- define "clearml-cleanup.settings" -}}
{{- range $name, $value := omit .Values.cleanup "cleanupPeriodInDays" }}
{{- $none := or (kindIs "invalid" $value) (and (kindIs "slice" $value) (not $value)) (and (eq $name "runAsService") (not $value)) }}
{{- if not $none }}
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
{{- $clearml.existingSecret -}}
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
