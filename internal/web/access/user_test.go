package access

import (
	"net/http"
	"testing"

	"rollcall/internal/test/kit"
)

// TestWho: who asks is the user whom the proxy names, or who has given a password or a
// certificate that was verified; else the peer's address. Nothing that anybody can claim counts.
func TestWho(t *testing.T) {
	a, foreign, dir := kit.NewAuthority(t), kit.NewAuthority(t), t.TempDir()
	own := a.Issue(t, t.TempDir(), "")
	other := foreign.Issue(t, t.TempDir(), "")
	a.Issue(t, dir, "")
	file := func(more string) string {
		folder := t.TempDir()
		a.Issue(t, folder, "")
		return configure(t, folder, withTLS+more)
	}
	const subject = "CN=rollcall test"
	optional := "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: " + a.File + "\n"
	for name, tt := range map[string]struct {
		config Config
		client *http.Client
		q      request
		want   string
	}{
		"nobody":                    {Config{}, plain, request{}, "|address 127.0.0.1"},
		"a password of nobody":      {Config{}, plain, request{user: "ada", password: "x"}, "|address 127.0.0.1"},
		"a header of anybody":       {Config{UserHeader: "X-User"}, plain, request{header: byProxy()}, "|address 127.0.0.1"},
		"forwarded":                 {Config{}, plain, request{header: http.Header{"X-Forwarded-For": {"10.0.0.1"}, "Forwarded": {"for=10.0.0.1"}}}, "|address 127.0.0.1"},
		"a password":                {Config{ConfigFile: configure(t, t.TempDir(), users(t, "right"))}, plain, request{user: "ada", password: "right"}, "ada|user ada"},
		"a certificate":             {Config{ConfigFile: file(optional)}, overTLS(a, true, own), request{}, subject + "|certificate " + subject},
		"no certificate":            {Config{ConfigFile: file(optional)}, overTLS(a, true), request{}, "|address 127.0.0.1"},
		"an unverified certificate": {Config{ConfigFile: file("  client_auth_type: RequireAnyClientCert\n")}, overTLS(a, false, other), request{}, "|address 127.0.0.1"},
		"both":                      {Config{ConfigFile: file(optional + users(t, "right"))}, overTLS(a, true, own), request{user: "ada", password: "right"}, "ada|user ada"},
		"a password of nobody, and a certificate": {
			Config{ConfigFile: file(optional)}, overTLS(a, true, own), request{user: "ada", password: "x"}, subject + "|certificate " + subject,
		},
		"a proxy's user, and a password of nobody": {ours, plain, request{header: byProxy(), user: "bob", password: "x"}, "ada|proxy ada"},
	} {
		if answer, body := send(t, tt.client, serve(t, tt.config), tt.q); answer.StatusCode != 200 || body != tt.want {
			t.Errorf("%s: %s: %q, want %q", name, answer.Status, body, tt.want)
		}
	}
	// A handler without the gate, in tests.
	if got := Key(&http.Request{RemoteAddr: "[::ffff:10.0.0.1]:2"}); got != "address 10.0.0.1" {
		t.Errorf("%s", got)
	}
}
