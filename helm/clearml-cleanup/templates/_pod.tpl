{{- /* Whether the job talks to the Kubernetes API. */ -}}
{{- define "clearml-cleanup.usesKubernetes" -}}
{{- if or .Values.lease.enabled .Values.events.enabled }}true{{ end -}}
{{- end -}}

{{- /* Whether a pod gets a token for that API. Takes what `clearml-cleanup.podSpec` takes. */ -}}
{{- define "clearml-cleanup.takesToken" -}}
{{- if and (not .alone) (include "clearml-cleanup.usesKubernetes" .root) (or (not .sweep) .root.Values.lease.enabled) }}true{{ end -}}
{{- end -}}

{{- /* The variables of the container that are not in the ConfigMap. Takes what `clearml-cleanup.podSpec` takes. */ -}}
{{- define "clearml-cleanup.ownEnv" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $kubernetes := include "clearml-cleanup.takesToken" . -}}
{{- $fullname := include "clearml-cleanup.fullname" $root -}}
{{- $credentials := include "clearml-cleanup.credentials" $root -}}
{{- $existing := and $values.clearml.existingSecret (not $values.sandbox.enabled) -}}
{{- $conf := and $values.clearml.existingConfigSecret (not $values.sandbox.enabled) -}}
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
{{- with $noProxy := include "clearml-cleanup.noProxy" $root }}
{{- range $name := list "NO_PROXY" "no_proxy" }}
- name: {{ $name }}
  value: {{ $noProxy | quote }}
{{- end }}
{{- end }}
{{- if and $kubernetes $values.lease.enabled }}
- name: CLEANUP_LEASE
  value: {{ ternary (include "clearml-cleanup.sweepName" $root) $fullname (not (empty .sweep)) | quote }}
{{- end }}
{{- if .sweep }}
{{- $stores := include "clearml-cleanup.yaml" (dict "root" $root "value" $values.sweep.stores) | fromYamlArray }}
- name: CLEANUP_SWEEP_STORES
  value: {{ compact (append $stores (ternary $values.sweep.fileserver.mountPath "" (not (empty $values.sweep.fileserver.existingClaim)))) | toJson | quote }}
- name: CLEANUP_SWEEP_DELETE
  value: {{ include "clearml-cleanup.sweepDeletes" $root | eq "true" | quote }}
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
{{- if and (not .sweep) (include "clearml-cleanup.policiesConfigMap" $root) }}
- name: CLEANUP_POLICIES
  value: {{ include "clearml-cleanup.policiesFolder" $root }}/policies.yaml
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
{{- $metrics := include "clearml-cleanup.sendsMetrics" $root }}
{{- $notify := include "clearml-cleanup.notifySecret" $root }}
{{- $sends := or $metrics $notify }}
{{- if and (not .alone) (or $sends (and $values.clearml.task.enabled (not .sweep))) }}
- name: CLEANUP_RELEASE
  value: {{ $root.Release.Name | quote }}
{{- end }}
{{- if and $metrics (not .alone) }}
{{- include "clearml-cleanup.metricsEnv" $root | trim | nindent 0 }}
{{- end }}
{{- if and $notify (not .alone) }}
{{- include "clearml-cleanup.notifyEnv" $root | trim | nindent 0 }}
{{- end }}
{{- if and $sends (not .alone) }}
- name: CLEANUP_LEASE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}
{{- end -}}

{{- /* These and `extraEnv`, whose entries replace those of the same name: Kubernetes takes no name twice. */ -}}
{{- define "clearml-cleanup.env" -}}
{{- $extra := include "clearml-cleanup.yaml" (dict "root" .root "value" .root.Values.extraEnv) | fromYamlArray -}}
{{- $names := list -}}
{{- range $extra }}{{ $names = append $names .name }}{{ end -}}
{{- $all := list -}}
{{- range include "clearml-cleanup.ownEnv" . | fromYamlArray -}}
{{- if not (has .name $names) }}{{ $all = append $all . }}{{ end -}}
{{- end -}}
{{- with concat $all $extra }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- /*
The pod of a pass, or of a sweep. A dict: `root`, the chart's context; `args`, arguments of the container; `alone`, true for
a pass that neither holds the lease nor creates an event; `sweep`, true for a sweep.
*/ -}}
{{- define "clearml-cleanup.podSpec" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $conf := and $values.clearml.existingConfigSecret (not $values.sandbox.enabled) -}}
{{- $claim := and .sweep $values.sweep.fileserver.existingClaim -}}
{{- $delete := include "clearml-cleanup.sweepDeletes" $root -}}
{{- $ca := include "clearml-cleanup.caFile" $root -}}
{{- $policies := ternary "" (include "clearml-cleanup.policiesConfigMap" $root) (not (empty .sweep)) -}}
restartPolicy: Never
serviceAccountName: {{ include "clearml-cleanup.serviceAccountName" $root | quote }}
automountServiceAccountToken: {{ include "clearml-cleanup.takesToken" . | eq "true" }}
enableServiceLinks: false
{{- if not .alone }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | int64 }}
{{- end }}
{{- with include "clearml-cleanup.imagePullSecrets" $root }}
imagePullSecrets:
  {{- . | trim | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ tpl . $root | quote }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ tpl . $root | quote }}
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
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
{{- with $values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $values.dnsConfig }}
dnsConfig:
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
{{- with $values.initContainers }}
initContainers:
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
{{- end }}
containers:
  - name: clearml-cleanup
    image: {{ include "clearml-cleanup.jobImage" $root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    {{- with .args }}
    args:
      {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 6 }}
    {{- end }}
    envFrom:
      {{- with $values.envFrom }}
      {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 6 }}
      {{- end }}
      - configMapRef:
          name: {{ include "clearml-cleanup.fullname" $root | quote }}
    {{- with include "clearml-cleanup.env" . }}
    env:
      {{- . | nindent 6 }}
    {{- end }}
    {{- with ternary $values.sweep.resources $values.resources (not (empty .sweep)) }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.lifecycle }}
    lifecycle:
      {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 6 }}
    {{- end }}
    {{- if or $conf $claim $ca $policies $values.extraVolumeMounts }}
    volumeMounts:
      {{- if $claim }}
      - name: fileserver
        mountPath: {{ $values.sweep.fileserver.mountPath | quote }}
        readOnly: {{ not $delete }}
        {{- with $values.sweep.fileserver.subPath }}
        subPath: {{ . | quote }}
        {{- end }}
      {{- end }}
      {{- if $conf }}
      - name: clearml-conf
        mountPath: /etc/clearml
        readOnly: true
      {{- end }}
      {{- if $ca }}
      - name: ca-bundle
        mountPath: {{ include "clearml-cleanup.caFolder" $root }}
        readOnly: true
      {{- end }}
      {{- if $policies }}
      - name: policies
        mountPath: {{ include "clearml-cleanup.policiesFolder" $root }}
        readOnly: true
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 6 }}
      {{- end }}
    {{- end }}
  {{- with $values.extraContainers }}
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
  {{- end }}
{{- if or $conf $claim $ca $policies $values.extraVolumes }}
volumes:
  {{- if $claim }}
  - name: fileserver
    persistentVolumeClaim:
      claimName: {{ tpl $claim $root | quote }}
      readOnly: {{ not $delete }}
  {{- end }}
  {{- if $conf }}
  - name: clearml-conf
    secret:
      secretName: {{ tpl $values.clearml.existingConfigSecret $root | quote }}
      defaultMode: 0440
      items:
        - key: {{ $values.clearml.existingConfigSecretKey | quote }}
          path: clearml.conf
  {{- end }}
  {{- if $ca }}
  - name: ca-bundle
    {{- include "clearml-cleanup.caSource" $root | nindent 4 }}
  {{- end }}
  {{- if $policies }}
  - name: policies
    configMap:
      name: {{ $policies | quote }}
      items:
        - key: {{ ternary $values.existingPoliciesConfigMapKey "policies.yaml" (not (empty $values.existingPoliciesConfigMap)) | quote }}
          path: policies.yaml
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- include "clearml-cleanup.yaml" (dict "root" $root "value" .) | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}
