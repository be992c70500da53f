{{- /* How a container logs in to NATS: of a dict with login (nats, or web.nats), tls (nats.tls) and
prefix, that of answers. */ -}}
{{- define "rollcall.nats.env" -}}
{{- with .login.enrolled }}
{{- if .secret }}
- {name: NATS_CREDS, value: /etc/rollcall/enrolled/nats.creds}
{{- if .ca }}
- {name: NATS_CA, value: /etc/rollcall/enrolled/ca.pem}
{{- end }}
{{- end }}
{{- end }}
{{- with .prefix }}
- {name: NATS_INBOX_PREFIX, value: {{ . | quote }}}
{{- end }}
{{- with .login.auth }}
{{- if .credsKey }}
- {name: NATS_CREDS, value: /etc/rollcall/nats/{{ .credsKey }}}
{{- end }}
{{- if .nkeyKey }}
- {name: NATS_NKEY, value: /etc/rollcall/nats/{{ .nkeyKey }}}
{{- end }}
{{- $secret := .secret }}
{{- range $name, $key := dict "NATS_USER" .userKey "NATS_PASSWORD" .passwordKey "NATS_TOKEN" .tokenKey }}
{{- if $key }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $secret | quote }}, key: {{ $key | quote }}}}
{{- end }}
{{- end }}
{{- end }}
{{- with .tls }}
{{- if .secret }}
{{- range $name, $key := dict "NATS_CA" .caKey "NATS_CERT" .certKey "NATS_KEY" .keyKey }}
{{- if $key }}
- {name: {{ $name }}, value: /etc/rollcall/tls/{{ $key }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rollcall.nats.mounts" -}}
{{- if .login.enrolled.secret }}
- {name: enrolled, mountPath: /etc/rollcall/enrolled, readOnly: true}
{{- end }}
{{- if or .login.auth.credsKey .login.auth.nkeyKey }}
- {name: nats, mountPath: /etc/rollcall/nats, readOnly: true}
{{- end }}
{{- if .tls.secret }}
- {name: tls, mountPath: /etc/rollcall/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "rollcall.nats.volumes" -}}
{{- with .login.enrolled }}
{{- if .secret }}
- name: enrolled
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      - {key: nats.creds, path: nats.creds}
      {{- if .ca }}
      - {key: ca.pem, path: ca.pem}
      {{- end }}
{{- end }}
{{- end }}
{{- if or .login.auth.credsKey .login.auth.nkeyKey }}
- name: nats
  secret:
    secretName: {{ .login.auth.secret | quote }}
    defaultMode: 0440
    items:
      {{- range compact (list .login.auth.credsKey .login.auth.nkeyKey) }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- with .tls }}
{{- if .secret }}
- name: tls
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      {{- range compact (list .caKey .certKey .keyKey) }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rollcall.egress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    {{- range .Values.networkPolicy.natsPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.nats }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
