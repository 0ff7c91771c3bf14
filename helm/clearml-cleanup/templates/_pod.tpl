{{- /* Whether the job talks to the Kubernetes API. */ -}}
{{- define "clearml-cleanup.usesKubernetes" -}}
{{- if or .Values.lease.enabled .Values.events.enabled }}true{{ end -}}
{{- end -}}

{{- /*
The pod of a pass, or of a sweep. A dict: `root`, the chart's context; `args`, arguments of the container; `alone`, true for
a pass that neither holds the lease nor creates an event; `sweep`, true for a sweep.
*/ -}}
{{- define "clearml-cleanup.podSpec" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $kubernetes := and (not .alone) (include "clearml-cleanup.usesKubernetes" $root) (or (not .sweep) $values.lease.enabled) -}}
{{- $fullname := include "clearml-cleanup.fullname" $root -}}
{{- $credentials := include "clearml-cleanup.credentials" $root -}}
{{- $existing := and $values.clearml.existingSecret (not $values.sandbox.enabled) -}}
{{- $conf := and $values.clearml.existingConfigSecret (not $values.sandbox.enabled) -}}
{{- $claim := and .sweep $values.sweep.fileserver.existingClaim -}}
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
{{- $security := deepCopy $values.podSecurityContext }}
{{- if .sweep }}
{{- /* One by one, because merge treats 0 and false as unset. */}}
{{- range $name, $value := $values.sweep.podSecurityContext }}
{{- $_ := set $security $name $value }}
{{- end }}
{{- end }}
{{- with $security }}
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
        value: {{ ternary (include "clearml-cleanup.sweepName" $root) $fullname (not (empty .sweep)) | quote }}
      {{- end }}
      {{- if .sweep }}
      - name: CLEANUP_SWEEP_STORES
        value: {{ compact (append $values.sweep.stores (ternary $values.sweep.fileserver.mountPath "" (not (empty $claim)))) | toJson | quote }}
      - name: CLEANUP_SWEEP_DELETE
        value: {{ $values.sweep.delete | quote }}
      - name: CLEANUP_SWEEP_GRACE_DAYS
        value: {{ $values.sweep.graceDays | quote }}
      - name: CLEANUP_SWEEP_KNOWN_ONE_IN
        value: {{ $values.sweep.knownOneIn | int64 | quote }}
      - name: CLEANUP_SWEEP_REFUSE_ABOVE
        value: {{ $values.sweep.refuseAbove | quote }}
      {{- else if and $kubernetes $values.events.enabled }}
      - name: CLEANUP_CRONJOB
        value: {{ $fullname | quote }}
      {{- end }}
      {{- $divided := and (gt ($values.shards | int64) 1) (not .alone) (not .sweep) }}
      {{- if $divided }}
      - name: CLEANUP_SHARDS
        value: {{ $values.shards | int64 | quote }}
      - name: CLEANUP_JOB_UID
        valueFrom:
          fieldRef:
            fieldPath: metadata.labels['batch.kubernetes.io/controller-uid']
      {{- end }}
      {{- if and $values.clearml.task.enabled .alone }}
      - name: CLEANUP_TASK
        value: "false"
      {{- end }}
      {{- if or $divided (and $values.clearml.task.enabled (not .alone) (not .sweep)) }}
      - name: CLEANUP_JOB
        valueFrom:
          fieldRef:
            fieldPath: metadata.labels['batch.kubernetes.io/job-name']
      {{- end }}
      {{- $sends := include "clearml-cleanup.sendsMetrics" $root }}
      {{- if and (not .alone) (or $sends (and $values.clearml.task.enabled (not .sweep))) }}
      - name: CLEANUP_RELEASE
        value: {{ $root.Release.Name | quote }}
      {{- end }}
      {{- if and $sends (not .alone) }}
      {{- include "clearml-cleanup.metricsEnv" $root | trim | nindent 6 }}
      {{- end }}
      {{- with $values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with ternary $values.sweep.resources $values.resources (not (empty .sweep)) }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if or $conf $claim $values.extraVolumeMounts }}
    volumeMounts:
      {{- if $claim }}
      - name: fileserver
        mountPath: {{ $values.sweep.fileserver.mountPath | quote }}
        readOnly: {{ not $values.sweep.delete }}
        {{- with $values.sweep.fileserver.subPath }}
        subPath: {{ . | quote }}
        {{- end }}
      {{- end }}
      {{- if $conf }}
      - name: clearml-conf
        mountPath: /etc/clearml
        readOnly: true
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
{{- if or $conf $claim $values.extraVolumes }}
volumes:
  {{- if $claim }}
  - name: fileserver
    persistentVolumeClaim:
      claimName: {{ $claim | quote }}
      readOnly: {{ not $values.sweep.delete }}
  {{- end }}
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
