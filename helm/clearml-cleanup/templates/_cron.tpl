{{- /*
The longest time in seconds between two starts of a schedule: over weekends, the ends of months, and leap years. As Kubernetes reads
it (robfig/cron): a day has to match both fields for days if one of them is `*`, and otherwise one of them.
*/ -}}
{{- define "clearml-cleanup.longestIntervalOf" -}}
{{- $macros := dict "@hourly" "0 * * * *" "@daily" "0 0 * * *" "@midnight" "0 0 * * *" "@weekly" "0 0 * * 0" "@monthly" "0 0 1 * *" "@yearly" "0 0 1 1 *" "@annually" "0 0 1 1 *" -}}
{{- $fields := regexSplit "\\s+" (get $macros (trim .) | default (trim .)) -1 -}}
{{- $minutes := include "clearml-cleanup.cronValues" (dict "field" (index $fields 0) "from" 0 "to" 59) | splitList " " -}}
{{- $hours := include "clearml-cleanup.cronValues" (dict "field" (index $fields 1) "from" 0 "to" 23) | splitList " " -}}
{{- $days := include "clearml-cleanup.cronValues" (dict "field" (index $fields 2) "from" 1 "to" 31) | splitList " " -}}
{{- $months := include "clearml-cleanup.cronValues" (dict "field" (index $fields 3) "from" 1 "to" 12 "names" "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC") | splitList " " -}}
{{- $weekdays := include "clearml-cleanup.cronValues" (dict "field" (index $fields 4) "from" 0 "to" 6 "names" "SUN MON TUE WED THU FRI SAT") | splitList " " -}}

{{- /* Minutes between two starts of one day. */ -}}
{{- $within := 0 -}}
{{- $start := add (mul 60 (first $hours)) (first $minutes) -}}
{{- $last := $start -}}
{{- range $hour := $hours -}}
{{- range $minute := $minutes -}}
{{- $time := add (mul 60 $hour) $minute -}}
{{- $within = max $within (sub $time $last) -}}
{{- $last = $time -}}
{{- end -}}
{{- end -}}

{{- /* Days between two days with starts: two weeks have all there are, unless a date counts, for which it takes a leap year and the next one. */ -}}
{{- $star := "(^|,)[*?](/1)?(,|$)" -}}
{{- $both := or (regexMatch $star (index $fields 2)) (regexMatch $star (index $fields 4)) -}}
{{- $apart := 0 -}}
{{- $day := -1 -}}
{{- range $n := until (ternary 15 1600 (and (eq (len $days) 31) (eq (len $months) 12))) -}}
{{- $date := dateInZone "2 1" (add 1704067200 (mul $n 86400)) "UTC" | splitList " " -}}{{- /* from 2024-01-01 on, a Monday */ -}}
{{- $dated := has (first $date) $days -}}
{{- $named := has (mod (add1 $n) 7 | toString) $weekdays -}}
{{- if and (has (last $date) $months) (ternary (and $dated $named) (or $dated $named) $both) -}}
{{- if ge $day 0 }}{{ $apart = max $apart (sub $n $day) }}{{ end -}}
{{- $day = $n -}}
{{- end -}}
{{- end -}}
{{- mul 60 (max $within (sub (mul 1440 $apart) (sub $last $start))) -}}
{{- end -}}

{{- /* The values of a cron field in their order, with a space between: a dict of `field`, its bounds `from` and `to`, and their `names`. */ -}}
{{- define "clearml-cleanup.cronValues" -}}
{{- $root := . -}}
{{- $found := dict -}}
{{- range $part := regexReplaceAll "\\b0+(\\d)" (upper .field) "${1}" | splitList "," -}}{{- /* 08 would be read as octal */ -}}
{{- range $index, $name := splitList " " ($root.names | default "-") }}{{ if ne $name "-" }}{{ $part = replace $name (add $root.from $index | toString) $part }}{{ end }}{{ end -}}
{{- $range := splitList "/" $part | first -}}
{{- $ends := splitList "-" (ternary (printf "%d-%d" $root.from $root.to) $range (has $range (list "*" "?"))) -}}
{{- /* `5/10` is from 5 on. */ -}}
{{- $to := ternary $root.to (last $ends | int) (and (contains "/" $part) (eq (len $ends) 1)) -}}
{{- $step := max 1 (splitList "/" $part | rest | first | default 1 | int) -}}
{{- range $value := untilStep (first $ends | int) (min $root.to $to | add1 | int) (int $step) }}{{ $_ := set $found (toString $value) true }}{{ end -}}
{{- end -}}
{{- $values := list -}}
{{- range $value := untilStep (int .from) (add1 .to | int) 1 }}{{ if hasKey $found (toString $value) }}{{ $values = append $values (toString $value) }}{{ end }}{{ end -}}
{{- join " " $values -}}
{{- end -}}
