{{- /*
Fails where the cluster is known not to have PrometheusRules. A real cluster, and Argo CD for it, tell Helm the kinds that they have;
`helm template` alone knows versions only, and then nothing is said.
*/ -}}
{{- define "clearml-cleanup.needsPrometheusOperator" -}}
{{- if and (.Capabilities.APIVersions.Has "batch/v1/CronJob") (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PrometheusRule")) -}}
{{- fail "\nmetrics.prometheusRule.enabled=true needs the Prometheus Operator: this cluster has no monitoring.coreos.com/v1/PrometheusRule.\nInstall the operator (kube-prometheus-stack) or its CRDs first, or leave metrics.prometheusRule.enabled out. docs/alerts.md has the rules for a Prometheus without it." -}}
{{- end -}}
{{- end -}}

{{- /* The alerts as a YAML list, without what is the same for all. */ -}}
{{- define "clearml-cleanup.alerts" -}}
{{- $root := . -}}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- $ns := include "clearml-cleanup.namespace" . -}}
{{- $runbook := $rule.runbookUrl | default (printf "%s/blob/main/docs/alerts.md" .Chart.Home) -}}

{{- /* What Kubernetes knows of each CronJob, by kube-state-metrics. */ -}}
{{- $cronjobs := list (dict "name" (include "clearml-cleanup.fullname" .) "schedule" (include "clearml-cleanup.schedule" .) "what" "pass") -}}
{{- if .Values.sweep.enabled }}{{ $cronjobs = append $cronjobs (dict "name" (include "clearml-cleanup.sweepName" .) "schedule" .Values.sweep.schedule "what" "sweep") }}{{ end -}}
{{- range $cronjobs }}
{{- $cronjob := printf "namespace=%q, cronjob=%q" $ns .name }}
{{- $stale := mulf (include "clearml-cleanup.longestIntervalOf" .schedule | float64) $rule.staleAfterSchedules | ceil | int64 }}
{{- $now := printf "kubectl create job --namespace %s --from=cronjob/%s %s-manual" $ns .name .name }}
{{- $why := printf "kubectl describe cronjob --namespace %s %s" $ns .name }}
{{- if eq .what "pass" }}{{ $why = printf "clearml-cleanup status --namespace %s --cronjob %s" $ns .name }}{{ end }}
- alert: ClearMLCleanupStale
  expr: |-
    time() - max by (namespace, cronjob) (
      kube_cronjob_status_last_successful_time{ {{- $cronjob -}} }
      or on (namespace, cronjob) kube_cronjob_created{ {{- $cronjob -}} }
    ) > {{ $stale }}
    unless on (namespace, cronjob)
      max by (namespace, cronjob) (max_over_time(kube_cronjob_spec_suspend{ {{- $cronjob -}} }[{{ $stale }}s])) == 1
  annotations:
    summary: No {{ .what }} of ClearML Cleanup has succeeded for {{ "{{ $value | humanizeDuration }}" }}
    description: >-
      CronJob {{ .name }} in namespace {{ $ns }} is scheduled "{{ .schedule }}", and its last success is {{ "{{ $value | humanizeDuration }}" }} ago.
      Nothing is lost: the next {{ .what }} that succeeds does what was left. See why: {{ $why }}.
      Start one now: {{ $now }}
    runbook_url: {{ $runbook }}#clearmlcleanupstale
  labels:
    cronjob: {{ .name | quote }}
- alert: ClearMLCleanupFailed
  expr: |-
    max by (namespace, cronjob) (
      kube_job_created{namespace={{ $ns | quote }}}
      * on (namespace, job_name) group_left (cronjob) max by (namespace, job_name, cronjob) (label_replace(
        kube_job_owner{namespace={{ $ns | quote }}, owner_kind="CronJob", owner_name={{ .name | quote }}}, "cronjob", "$1", "owner_name", "(.+)"
      ))
      and on (namespace, job_name) kube_job_failed{namespace={{ $ns | quote }}, condition="true"} == 1
    ) > on (namespace, cronjob) max by (namespace, cronjob) (
      kube_cronjob_status_last_successful_time{ {{- $cronjob -}} }
      or on (namespace, cronjob) kube_cronjob_created{ {{- $cronjob -}} }
    )
  annotations:
    summary: The last {{ .what }} of ClearML Cleanup failed
    description: >-
      A Job of CronJob {{ .name }} in namespace {{ $ns }} failed, all its tries included, and none that started later has succeeded.
      {{ include "clearml-cleanup.howItEnded" (dict "root" $root "what" .what) }}
      See why: {{ $why }}. Once it is mended, this ends it: {{ $now }}
    runbook_url: {{ $runbook }}#clearmlcleanupfailed
  labels:
    cronjob: {{ .name | quote }}
- alert: ClearMLCleanupUnseen
  expr: absent(kube_cronjob_created{ {{- $cronjob -}} })
  for: 1h
  annotations:
    summary: Prometheus does not see the CronJob of ClearML Cleanup
    description: >-
      kube-state-metrics has told nothing of CronJob {{ .name }} in namespace {{ $ns }} for an hour, so no other alert can tell that
      a {{ .what }} fails. Is it there: kubectl get cronjob --namespace {{ $ns }} {{ .name }}. Is kube-state-metrics scraped: the query
      kube_cronjob_created has series for each CronJob
    runbook_url: {{ $runbook }}#clearmlcleanupunseen
  labels:
    cronjob: {{ .name | quote }}
{{- end }}

{{- /* What passes push. Shards push a set of series each, hence the sums. Steps are short enough to see each pass. */ -}}
{{- $pushed := printf "namespace=%q, release=%q" $ns .Release.Name }}
{{- $name := include "clearml-cleanup.fullname" . }}
{{- $longest := include "clearml-cleanup.longestIntervalOf" (include "clearml-cleanup.schedule" .) | int64 }}
{{- $step := max 60 (min 3600 (div (include "clearml-cleanup.intervalSeconds" . | int64) 4)) }}
{{- $while := max (mulf 86400 $rule.leftGrowsDays | int64) (mul 4 $longest) }}
{{- $day := max 86400 $longest }}
{{- $nights := mul $rule.freesNothingNights $longest }}
{{- $log := printf "kubectl logs --namespace %s --selector app.kubernetes.io/instance=%s,app.kubernetes.io/component=job --tail=-1" $ns .Release.Name }}
- alert: ClearMLCleanupLeftGrows
  expr: |-
    sum by (namespace, release) (clearml_cleanup_last_left_tasks{ {{- $pushed -}} })
      > sum by (namespace, release) (clearml_cleanup_last_left_tasks{ {{- $pushed -}} } offset {{ div $while 2 }}s)
    and on (namespace, release)
      sum by (namespace, release) (clearml_cleanup_last_left_tasks{ {{- $pushed -}} } offset {{ div $while 2 }}s)
      > sum by (namespace, release) (clearml_cleanup_last_left_tasks{ {{- $pushed -}} } offset {{ $while }}s)
    and on (namespace, release)
      resets(sum by (namespace, release) (clearml_cleanup_last_left_tasks{ {{- $pushed -}} })[{{ $while }}s:{{ $day }}s]) == 0
  for: 1h
  annotations:
    summary: ClearML Cleanup leaves more tasks with each pass
    description: >-
      Passes of release {{ .Release.Name }} in namespace {{ $ns }} have left more and more tasks for the next one, {{ "{{ $value }}" }} by now:
      more become old enough than a pass deletes. Raise what ends a pass early (cleanup.maxTasks, cleanup.deadlineSeconds,
      cleanup.maxTasksPerSecond, activeDeadlineSeconds), start passes more often (schedule), or see which tasks fail each time: {{ $log }}
    runbook_url: {{ $runbook }}#clearmlcleanupleftgrows
- alert: ClearMLCleanupUnknownStores
  expr: sum by (namespace, release) (clearml_cleanup_last_kept_tasks{ {{- $pushed }}, reason="unknown_store"}) > 0
  annotations:
    summary: ClearML Cleanup keeps {{ "{{ $value }}" }} tasks, because it does not know where their files are
    description: >-
      {{ "{{ $value }}" }} tasks are old enough and kept, because they have files on stores that release {{ .Release.Name }} in namespace {{ $ns }}
      does not know. Which stores: {{ $log }} | grep unknown_store. If it is the fileserver under another address, add that to
      clearml.filesUrlPrefixes; a bucket needs credentials; a mounted folder an entry in cleanup.mountedFolders
    runbook_url: {{ $runbook }}#clearmlcleanupunknownstores
- alert: ClearMLCleanupFreesNothing
  expr: |-
    min_over_time((
      sum by (namespace, release) (clearml_cleanup_last_candidate_tasks{ {{- $pushed -}} })
      - sum by (namespace, release) (clearml_cleanup_last_kept_tasks{ {{- $pushed }}, reason=~"{{ include "clearml-cleanup.wantedReasons" . }}"})
    )[{{ $nights }}s:{{ $step }}s]) > 0
    and on (namespace, release)
      max_over_time(sum by (namespace, release) (clearml_cleanup_last_deleted_tasks{ {{- $pushed -}} })[{{ $nights }}s:{{ $step }}s]) == 0
    and on (namespace, release)
      max_over_time(max by (namespace, release) (clearml_cleanup_last_dry_run{ {{- $pushed -}} })[{{ $nights }}s:{{ $step }}s]) == 0
    and on (namespace, release)
      changes(max by (namespace, release) (clearml_cleanup_last_start_timestamp_seconds{ {{- $pushed -}} })[{{ $nights }}s:{{ $step }}s]) >= {{ sub $rule.freesNothingNights 1 }}
    and on (namespace, release)
      sum by (namespace, release) (clearml_cleanup_last_candidate_tasks{ {{- $pushed -}} } offset {{ $nights }}s)
  annotations:
    summary: ClearML Cleanup has deleted nothing for {{ $rule.freesNothingNights }} schedules, although there is something to delete
    description: >-
      At least {{ "{{ $value }}" }} tasks were old enough each time, and no rule of yours keeps them, but release {{ .Release.Name }} in namespace
      {{ $ns }} has deleted none. The last report says what keeps or fails each of them: {{ $log }}. Why a certain task is kept:
      clearml-cleanup explain TASK
    runbook_url: {{ $runbook }}#clearmlcleanupfreesnothing
{{- end -}}

{{- /* Reasons that are as they should be: rules of yours, other tasks' needs, and an unknown store, which has its own alert. */ -}}
{{- define "clearml-cleanup.wantedReasons" -}}
keep_rule|needs_force|in_use|dataset_in_use|pipeline_step|public|changed|not_selected|unknown_store
{{- end -}}

{{- /* A sentence on the exit code that the failed Job pushed; one that was killed pushed none. In Prometheus' own templates. */ -}}
{{- define "clearml-cleanup.howItEnded" -}}
{{- $pushed := printf "namespace=%q, release=%q" (include "clearml-cleanup.namespace" .root) .root.Release.Name -}}
{{- $last := ternary "clearml_cleanup_last" "clearml_cleanup_sweep_last" (eq .what "pass") -}}
{{- printf "{{ with query (printf `max(%s_exit_code{%s} and %s_start_timestamp_seconds{%s} >= %%f)` $value) }}" $last $pushed $last $pushed -}}
It ended with exit code {{ "{{ . | first | value }}" }}.{{ "{{ else }}" -}}
It pushed no exit code: either it was killed (out of memory, evicted, past activeDeadlineSeconds) or could not start, or no Pushgateway is set.{{ "{{ end }}" }}
{{- end -}}
