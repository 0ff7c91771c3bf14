{{- /* The CronJob's schedule: `schedule`, or the one that `cleanup.cleanupPeriodInDays` gives, or daily. */ -}}
{{- define "clearml-cleanup.schedule" -}}
{{- $days := .Values.cleanup.cleanupPeriodInDays -}}
{{- $task := .Values.clearml.task.enabled -}}
{{- if or (kindIs "invalid" $days) (and $task .Values.schedule) -}}
{{- .Values.schedule | default "0 3 * * *" -}}
{{- else -}}
{{- $schedule := include "clearml-cleanup.periodSchedule" (dict "days" $days "task" $task) -}}
{{- if not (has .Values.schedule (list "" $schedule)) -}}
{{- fail (printf "\nschedule=%q and cleanup.cleanupPeriodInDays=%v contradict each other: a period of %v days is the schedule %q.\nSet only one of them." .Values.schedule $days $days $schedule) -}}
{{- end -}}
{{- $schedule -}}
{{- end -}}
{{- end -}}

{{- /*
A period in days as a cron schedule. Cron counts within a day, a week or a month, so only few periods have one. With a task in
ClearML, which remembers the last pass, Jobs can start more often: they end as not due.
*/ -}}
{{- define "clearml-cleanup.periodSchedule" -}}
{{- $minutes := round (mulf (float64 .days) 1440.0) 3 -}}
{{- $whole := max 1 (int64 $minutes) -}}
{{- $exact := eq $minutes (float64 $whole) -}}
{{- if and $exact (eq $whole 10080) -}}0 3 * * 0
{{- else if and $exact (eq $whole 1440) -}}0 3 * * *
{{- else if and $exact (lt $whole 60) (eq (mod 60 $whole) 0) -}}*/{{ $whole }} * * * *
{{- else if and $exact (eq $whole 60) -}}0 * * * *
{{- else if and $exact (lt $whole 1440) (eq (mod $whole 60) 0) (eq (mod 1440 $whole) 0) -}}0 */{{ div $whole 60 }} * * *
{{- else if and .task (gt $whole 1440) -}}0 3 * * *
{{- else if and .task (gt $whole 60) -}}0 * * * *
{{- else -}}
{{- fail (printf "\ncleanup.cleanupPeriodInDays=%v has no cron schedule: 1 (daily), 7 (weekly) and parts that divide a day evenly (0.5, 0.25) have one.\nLeave it out and set schedule, for example --set schedule=\"0 3 */3 * *\" (every third day of the month), or set clearml.task.enabled=true, with which any period of an hour or more has one." .days) -}}
{{- end -}}
{{- end -}}

{{- /* The shortest time in seconds between two starts; a day for schedules that are daily or rarer. */ -}}
{{- define "clearml-cleanup.intervalSeconds" -}}
{{- include "clearml-cleanup.intervalOf" (include "clearml-cleanup.schedule" .) -}}
{{- end -}}

{{- define "clearml-cleanup.intervalOf" -}}
{{- $schedule := . | trim -}}
{{- if hasPrefix "@" $schedule -}}
{{- ternary 3600 86400 (eq $schedule "@hourly") -}}
{{- else -}}
{{- $fields := regexSplit "\\s+" $schedule -1 -}}
{{- $minutes := include "clearml-cleanup.gap" (dict "field" (index $fields 0) "of" 60) | int -}}
{{- $hours := include "clearml-cleanup.gap" (dict "field" (index $fields 1) "of" 24) | int -}}
{{- if lt $minutes 60 }}{{ mul $minutes 60 }}{{ else }}{{ mul $hours 3600 }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The smallest step between two values of a cron field, including the step from the last to the first one. */ -}}
{{- define "clearml-cleanup.gap" -}}
{{- $of := .of -}}
{{- if regexMatch "^\\d+$" .field -}}{{ $of }}
{{- else if regexMatch "^\\*/[1-9]\\d*$" .field -}}
{{- $step := min (trimPrefix "*/" .field | int) $of -}}
{{- $rest := mod $of $step -}}
{{- ternary $step (min $step $rest) (eq (int $rest) 0) -}}
{{- else if regexMatch "^\\d+(,\\d+)+$" .field -}}
{{- $padded := list -}}
{{- range splitList "," .field }}{{ $padded = append $padded (printf "%02d" (regexReplaceAll "^0+(\\d)" . "${1}" | int)) }}{{ end -}}
{{- $values := sortAlpha $padded -}}
{{- $before := sub (last $values | trimPrefix "0" | int) $of -}}
{{- $gap := $of -}}
{{- range $values -}}
{{- $value := trimPrefix "0" . | int -}}
{{- $gap = min $gap (sub $value $before) -}}
{{- $before = $value -}}
{{- end -}}
{{- max $gap 1 -}}
{{- else -}}1
{{- end -}}
{{- end -}}

{{- define "clearml-cleanup.activeDeadlineSeconds" -}}
{{- if kindIs "invalid" .Values.activeDeadlineSeconds -}}
{{- div (mul (include "clearml-cleanup.intervalSeconds" . | int) 95) 100 -}}
{{- else -}}
{{- .Values.activeDeadlineSeconds | int64 -}}
{{- end -}}
{{- end -}}
