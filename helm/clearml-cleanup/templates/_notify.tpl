{{- /* The Secret with the URLs that get messages; empty if none do. */ -}}
{{- define "clearml-cleanup.notifySecret" -}}
{{- $notify := .Values.notify | default dict -}}
{{- if and $notify.urls $notify.existingSecret -}}
{{- fail "\nnotify.urls and notify.existingSecret are both set, but the URLs come from only one of them. Leave one out." -}}
{{- else if $notify.existingSecret -}}
{{- tpl $notify.existingSecret . -}}
{{- else if $notify.urls -}}
{{- include "clearml-cleanup.fullname" . }}-notify
{{- end -}}
{{- end -}}

{{- /* Who gets messages, as variables of the container. */ -}}
{{- define "clearml-cleanup.notifyEnv" -}}
- name: CLEANUP_NOTIFY
  valueFrom:
    secretKeyRef:
      name: {{ include "clearml-cleanup.notifySecret" . | quote }}
      key: {{ ternary (.Values.notify.existingSecretKey | default "urls") "urls" (not (empty .Values.notify.existingSecret)) | quote }}
{{- with .Values.notify.when }}
- name: CLEANUP_NOTIFY_WHEN
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}
