{{- define "tidings.pod" -}}
{{- if and .Values.join (not (and .Values.postgresql.enabled .Values.secret.secretKey)) }}
{{- fail "join needs a database that all servers share, and one secret key for all: set postgresql.enabled and secret.secretKey to true, and put both into the Secret." }}
{{- end }}
metadata:
  labels:
    {{- include "tidings.labels" . | nindent 4 }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 30
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- if .Values.postgresql.enabled }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tidings.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: tidings
      image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      env:
        - name: TIDINGS_OPERATOR_KEY
          valueFrom: {secretKeyRef: {name: {{ .Values.secret.name }}, key: operator}}
        {{- if .Values.secret.secretKey }}
        - name: TIDINGS_SECRET_KEY
          valueFrom: {secretKeyRef: {name: {{ .Values.secret.name }}, key: secret}}
        {{- end }}
        {{- if .Values.postgresql.enabled }}
        - name: TIDINGS_DATABASE
          valueFrom: {secretKeyRef: {name: {{ .Values.secret.name }}, key: database}}
        {{- if .Values.join }}
        - {name: TIDINGS_JOIN, value: "true"}
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        - {name: TIDINGS_NODE_URL, value: "http://$(POD_IP):8080"}
        {{- else }}
        - {name: TIDINGS_STANDBY, value: "true"}
        {{- end }}
        {{- end }}
        {{- range $name, $value := .Values.settings }}
        - name: TIDINGS_{{ upper $name }}
          value: {{ toString $value | quote }}
        {{- end }}
        {{- range $name, $value := .Values.env }}
        - name: {{ $name }}
          value: {{ toString $value | quote }}
        {{- end }}
      ports:
        - {name: http, containerPort: 8080}
      # It is alive as long as it answers. A server that stands by is alive and not ready, so that no request reaches it.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if .Values.join }}
      # It gives its role to another server, and still serves while proxies hear that it leaves; SIGTERM then ends it within
      # 10 s. The last server has nobody to give its role to, and just waits.
      lifecycle:
        preStop:
          exec: {command: [sh, -c, "tidings nodes drain self --after 10; sleep 8"]}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if .Values.postgresql.enabled }}
    - name: data
      emptyDir: {}
    {{- end }}
{{- end }}
