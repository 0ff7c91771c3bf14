{{- /* Whether the job talks to the Kubernetes API. */ -}}
{{- define "clearml-cleanup.usesKubernetes" -}}
{{- if or .Values.lease.enabled .Values.events.enabled }}true{{ end -}}
{{- end -}}

{{- /*
The pod of a pass. A dict: `root`, the chart's context; `args`, arguments of the container; `alone`, true for a pass that
neither holds the lease nor leaves an event.
*/ -}}
{{- define "clearml-cleanup.podSpec" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $kubernetes := and (not .alone) (include "clearml-cleanup.usesKubernetes" $root) -}}
{{- $fullname := include "clearml-cleanup.fullname" $root -}}
{{- $credentials := include "clearml-cleanup.credentials" $root -}}
{{- $existing := and $values.clearml.existingSecret (not $values.sandbox.enabled) -}}
{{- $conf := and $values.clearml.existingConfigSecret (not $values.sandbox.enabled) -}}
restartPolicy: Never
serviceAccountName: {{ include "clearml-cleanup.serviceAccountName" $root | quote }}
automountServiceAccountToken: {{ ternary true false (not (empty $kubernetes)) }}
enableServiceLinks: false
{{- if not .alone }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | int64 }}
{{- end }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: clearml-cleanup
    image: {{ include "clearml-cleanup.jobImage" $root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    {{- with .args }}
    args:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    envFrom:
      {{- with $values.envFrom }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      - configMapRef:
          name: {{ $fullname | quote }}
    env:
      {{- if $credentials }}
      - name: CLEARML_API_ACCESS_KEY
        valueFrom:
          secretKeyRef:
            name: {{ $credentials | quote }}
            key: {{ ternary $values.clearml.existingSecretKeys.accessKey "accessKey" (not (empty $existing)) | quote }}
      - name: CLEARML_API_SECRET_KEY
        valueFrom:
          secretKeyRef:
            name: {{ $credentials | quote }}
            key: {{ ternary $values.clearml.existingSecretKeys.secretKey "secretKey" (not (empty $existing)) | quote }}
      {{- end }}
      {{- if $conf }}
      - name: CLEARML_CONFIG_FILE
        value: /etc/clearml/clearml.conf
      {{- end }}
      {{- if and $kubernetes $values.lease.enabled }}
      - name: CLEANUP_LEASE
        value: {{ $fullname | quote }}
      {{- end }}
      {{- if and $kubernetes $values.events.enabled }}
      - name: CLEANUP_CRONJOB
        value: {{ $fullname | quote }}
      {{- end }}
      {{- with $values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $values.resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if or $conf $values.extraVolumeMounts }}
    volumeMounts:
      {{- if $conf }}
      - name: clearml-conf
        mountPath: /etc/clearml
        readOnly: true
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
{{- if or $conf $values.extraVolumes }}
volumes:
  {{- if $conf }}
  - name: clearml-conf
    secret:
      secretName: {{ $values.clearml.existingConfigSecret | quote }}
      defaultMode: 0440
      items:
        - key: {{ $values.clearml.existingConfigSecretKey | quote }}
          path: clearml.conf
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}
