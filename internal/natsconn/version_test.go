package natsconn

import "testing"

// TestOldServers: which servers are logged as too old.
func TestOldServers(t *testing.T) {
	for version, want := range map[string]bool{
		"2.8.4": true, "1.4.1": true, "2.9.0": false, "2.9.25": false, "2.10.0-beta.1": false, "2.15.2": false, "3.0.0": false, "": false, "dev": false,
	} {
		log, r := logger()
		warnOldServer(version, log)
		if got := r.Has("level=ERROR msg=\"nats server is too old for rollcall\" version=" + version + " least=2.9"); got != want {
			t.Errorf("%q is too old: %t", version, got)
		}
	}
}
