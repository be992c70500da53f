package service

import (
	"testing"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/test/kit"
)

// TestDigest: each setting that decides what becomes of an event changes the digest, and
// no other does.
func TestDigest(t *testing.T) {
	digest := func(name, value string) string {
		t.Helper()
		kit.Environment(t, map[string]string{name: value})
		cfg, err := config.ReadServe(httpd.CheckWebConfig)
		if err != nil {
			t.Fatal(err)
		}
		return digest(cfg)
	}
	seen := map[string]string{digest("ROLLCALL_LOG_LEVEL", "info"): "none"}
	if _, ok := seen[digest("ROLLCALL_REPORT_INTERVAL", "1s")]; !ok {
		t.Error("a setting that decides nothing changes the digest")
	}
	for name, value := range map[string]string{
		"ROLLCALL_MAX_SKEW": "1m", "ROLLCALL_ALLOWED_LATENESS": "1h", "ROLLCALL_MAX_MACHINES": "7", "ROLLCALL_MAX_SESSIONS": "7",
		"ROLLCALL_MAX_SESSIONS_PER_MACHINE": "7", "ROLLCALL_STREAM": "S", "ROLLCALL_SUBJECT": "s", "ROLLCALL_SOURCES": "fra/S=*",
	} {
		d := digest(name, value)
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[d] = name
		t.Setenv(name, "")
	}
}
