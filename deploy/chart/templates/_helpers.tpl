{{/* Name of the release's objects; a part stands after it. */}}
{{- define "featurehub.name" -}}
{{- if contains "featurehub" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-featurehub" (.Release.Name | trunc 29 | trimSuffix "-") }}{{- end -}}
{{- end -}}

{{/* Labels that pods are found by. Takes (dict "root" $ "part" "web"). */}}
{{- define "featurehub.selector" -}}
app.kubernetes.io/name: featurehub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "featurehub.labels" -}}
{{ include "featurehub.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What every pod has: no token, no root. Takes (dict "root" $). */}}
{{- define "featurehub.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  # All that is written: sockets and nginx's own files, uploads.
  - name: local
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
  - name: tmp
    emptyDir: {sizeLimit: 256Mi}
{{- end -}}

{{/* What every container has. Takes (dict "root" $ "program" "front" "resources" …). */}}
{{- define "featurehub.container" -}}
image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - {name: local, mountPath: /run/featurehub}
  - {name: tmp, mountPath: /tmp}
env:
  {{- with .program }}
  - {name: FEATUREHUB_PROGRAM, value: {{ . }}}
  {{- end }}
  {{- range list "DATABASE_URL" "REDIS_URL" "CELERY_BROKER_URL" "SECRET_KEY" "FEATUREHUB_TOMBSTONE_KEY" }}
  - name: {{ . }}
    valueFrom: {secretKeyRef: {name: {{ $.root.Values.secretName }}, key: {{ . }}}}
  {{- end }}
  - {name: ALLOWED_HOSTS, value: {{ join "," .root.Values.hosts | quote }}}
  - {name: FEATUREHUB_TRUSTED_PROXIES, value: {{ join "," .root.Values.trustedProxies | quote }}}
  - {name: WEB_CONCURRENCY, value: {{ .root.Values.web.concurrency | quote }}}
  {{- range $name, $value := .root.Values.settings }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
{{- end -}}
