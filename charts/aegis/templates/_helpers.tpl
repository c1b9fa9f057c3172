{{/* Labels of an object. Takes: ctx, component. */}}
{{- define "aegis.labels" -}}
{{ include "aegis.selector" . }}
app.kubernetes.io/version: {{ .ctx.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: aegis
app.kubernetes.io/managed-by: {{ .ctx.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .ctx.Chart.Name .ctx.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels by which pods of a component are selected; they never change. Takes: ctx, component. */}}
{{- define "aegis.selector" -}}
app.kubernetes.io/name: aegis
app.kubernetes.io/instance: {{ .ctx.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Full reference of an image. Takes: ctx, name (a key of images). */}}
{{- define "aegis.image" -}}
{{- $image := get .ctx.Values.images .name -}}
{{- with .ctx.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .ctx.Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* What every pod of ours has: no right beyond running, as Pod Security "restricted" asks for. */}}
{{- define "aegis.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "aegis.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
{{- end }}

{{/* Where the pods of a component run. Takes: ctx, component, values. */}}
{{- define "aegis.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "aegis.selector" $ | nindent 6 }}
{{- end }}
{{- with .ctx.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The settings of the mesh, as operator and webhook read them. */}}
{{- define "aegis.settings" -}}
images:
  proxy: {{ include "aegis.image" (dict "ctx" . "name" "proxy") | quote }}
  capture: {{ include "aegis.image" (dict "ctx" . "name" "capture") | quote }}
  probe: {{ include "aegis.image" (dict "ctx" . "name" "probe") | quote }}
  {{- with .Values.previousImages }}
  previous: {{- toYaml . | nindent 2 }}
  {{- end }}
control: https://aegis-operator.{{ .Release.Namespace }}.svc:8443
systemNamespace: {{ .Release.Namespace }}
pullPolicy: {{ .Values.image.pullPolicy }}
resources: {{- toYaml .Values.mesh.resources | nindent 2 }}
records: {{- toYaml .Values.mesh.records | nindent 2 }}
probeMinutes: {{ .Values.mesh.probeMinutes }}
{{- end }}

{{/*
A shipped object with the chart's labels; its spec stays as it is, since the operator compares it with its own copy.
Takes: ctx, object, annotations (may be empty).
*/}}
{{- define "aegis.shipped" -}}
{{- $object := deepCopy .object -}}
{{- $metadata := $object.metadata -}}
{{- $labels := include "aegis.labels" (dict "ctx" .ctx "component" "guards") | fromYaml -}}
{{- $_ := set $metadata "labels" (merge (dict) ($metadata.labels | default dict) $labels) -}}
{{- with .annotations -}}
{{- $_ := set $metadata "annotations" (merge (dict) . ($metadata.annotations | default dict)) -}}
{{- end -}}
{{ toYaml $object }}
{{- end }}

{{/* The documents of the shipped guards, as a list under the key "items". */}}
{{- define "aegis.guards" -}}
items:
{{- range $path, $_ := .Files.Glob "files/guards/*.yaml" }}
{{- range regexSplit "(?m)^---\\s*$" ($.Files.Get $path) -1 }}
{{- with fromYaml . }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a rule of a role is about things that belong to no namespace. Takes the rule. */}}
{{- define "aegis.clusterWide" -}}
{{- $groups := list "admissionregistration.k8s.io" "apiextensions.k8s.io" "authentication.k8s.io" "authorization.k8s.io" -}}
{{- if or (has (first .apiGroups) $groups) (has "namespaces" .resources) (has "nodes" .resources) }}yes{{ end -}}
{{- end }}

{{/* Who may scrape metrics, as an ingress rule. */}}
{{- define "aegis.metricsIngress" -}}
{{- with .Values.networkPolicy.metricsFrom }}
- from: {{- toYaml . | nindent 2 }}
  ports: [{port: 9090, protocol: TCP}]
{{- end }}
{{- end }}

{{/*
Whether the cluster serves MutatingAdmissionPolicy v1: as it says itself; where only a version is known, as in helm template, it does from 1.36 on.
*/}}
{{- define "aegis.stamps" -}}
{{- $v1 := "admissionregistration.k8s.io/v1" -}}
{{- if .Capabilities.APIVersions.Has (printf "%s/ValidatingAdmissionPolicy" $v1) -}}
{{- if .Capabilities.APIVersions.Has (printf "%s/MutatingAdmissionPolicy" $v1) }}yes{{ end -}}
{{- else if semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}yes{{ end -}}
{{- end }}
