{{- /* The Pushgateway's address; empty if there is none, or only a Secret has it. */ -}}
{{- define "clearml-cleanup.pushgateway" -}}
{{- $url := tpl (((.Values.metrics).pushgateway).url | default "") . -}}
{{- if contains "@" $url -}}
{{- fail "\nmetrics.pushgateway.url has a user or a password, which everyone who reads the CronJob would see. Put the whole address in a Secret, and name it in metrics.pushgateway.existingSecret." -}}
{{- end -}}
{{- $url -}}
{{- end -}}

{{- /* Whether the job sends metrics anywhere. */ -}}
{{- define "clearml-cleanup.sendsMetrics" -}}
{{- if or (include "clearml-cleanup.pushgateway" .) ((.Values.metrics).pushgateway).existingSecret ((.Values.metrics).otlp).endpoint }}true{{ end -}}
{{- end -}}

{{- /* Where metrics go, as variables of the container. Not in the ConfigMap: the pod of a `helm test` reads that too, and sends none. */ -}}
{{- define "clearml-cleanup.metricsEnv" -}}
{{- $gateway := .Values.metrics.pushgateway | default dict -}}
{{- if $gateway.existingSecret }}
- name: CLEANUP_PUSHGATEWAY
  valueFrom:
    secretKeyRef:
      name: {{ tpl $gateway.existingSecret . | quote }}
      key: {{ $gateway.existingSecretKey | default "url" | quote }}
{{- else if include "clearml-cleanup.pushgateway" . }}
- name: CLEANUP_PUSHGATEWAY
  value: {{ include "clearml-cleanup.pushgateway" . | quote }}
{{- end }}
{{- $verify := include "clearml-cleanup.verify" (dict "root" . "value" $gateway.verifyCertificate) }}
{{- if ne $verify "true" }}
- name: CLEANUP_PUSHGATEWAY_VERIFY_CERTIFICATE
  value: {{ $verify | quote }}
{{- end }}
{{- with (.Values.metrics.otlp).endpoint }}
- name: CLEANUP_OTLP_ENDPOINT
  value: {{ tpl . $ | quote }}
{{- with include "clearml-cleanup.caFile" $ }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The ports at which metrics are received, as a JSON list. */ -}}
{{- define "clearml-cleanup.metricsPorts" -}}
{{- $gateway := include "clearml-cleanup.pushgateway" . -}}
{{- if and ((.Values.metrics).pushgateway).existingSecret (not $gateway) -}}
{{- fail "\nnetworkPolicy.enabled=true needs the Pushgateway's port, which the chart can't read from a Secret: also set metrics.pushgateway.url to its address without user and password." -}}
{{- end -}}
{{- $ports := list -}}
{{- range compact (list $gateway (tpl (((.Values.metrics).otlp).endpoint | default "") .)) -}}
{{- $ports = append $ports (include "clearml-cleanup.portOf" . | int) -}}
{{- end -}}
{{- toJson (uniq $ports) -}}
{{- end -}}
