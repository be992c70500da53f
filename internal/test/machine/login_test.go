//go:build linux

package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// wantOn checks which sessions logind has, and whose they are.
func (m *Machine) wantOn(want map[string]string) {
	m.t.Helper()
	if got := m.on(); !maps.Equal(got, want) {
		m.t.Errorf("the sessions of %s are %v, want %v", m.name, got, want)
	}
}

// on returns the users of logind's sessions, by their ID, without their managers.
func (m *Machine) on() map[string]string {
	m.t.Helper()
	users := map[string]string{}
	for line := range strings.Lines(m.Run("loginctl", "list-sessions", "--no-legend")) {
		f := strings.Fields(line)           // session, UID, user, …
		if !slices.Contains(f, "manager") { // a class from systemd 256
			users[f[0]] = f[2]
		}
	}
	return users
}

// TestLogins: logind and the journal have each of 20 sessions, ten of them at a time and
// half of them with a terminal, while it is on, and no more afterwards.
func TestLogins(t *testing.T) {
	m := Boot(t, "logins")
	m.AddUsers("ada", "bob", "eve")
	users := map[string]string{}
	for range 2 {
		logins := m.logIn(t, []string{"ada", "bob", "eve"}, 10)
		on := map[string]string{}
		for l, user := range logins {
			on[l.ID], users[l.ID] = user, user
		}
		if len(on) != 10 {
			t.Fatalf("10 logins are the sessions %v", on)
		}
		m.wantOn(on)
		for l := range logins {
			l.End()
		}
		kit.Eventually(t, func() bool { return len(m.on()) == 0 }, "the sessions are gone")
	}
	m.wantStarts(users)
	m.wantStops(users)
}

// logIn logs in n times at once, and returns whose the logins are.
func (m *Machine) logIn(t *testing.T, users []string, n int) map[*Login]string {
	t.Helper()
	type result struct {
		login *Login
		user  string
		err   error
	}
	results := make(chan result)
	for i := range n {
		user := users[i%len(users)]
		go func() {
			l, err := m.TryLogin(user, "", i%2 == 0)
			results <- result{l, user, err}
		}()
	}
	logins := map[*Login]string{}
	for range n {
		r := <-results
		if r.err != nil {
			t.Errorf("logging %s in: %v", r.user, r.err)
			continue
		}
		t.Cleanup(r.login.End)
		logins[r.login] = r.user
	}
	return logins
}

// Of logind: a session began, and ended.
const (
	started = "MESSAGE_ID=8d45620c1a4348dbb17410da57c60c66"
	stopped = "MESSAGE_ID=3354939424b4456d9802ca8333ed424a"
)

// sessions returns logind's records of this kind about the users' sessions.
func (m *Machine) sessions(kind string, users map[string]string) []map[string]string {
	m.t.Helper()
	others := func(record map[string]string) bool { return users[record["SESSION_ID"]] == "" }
	return slices.DeleteFunc(m.Journal("_SYSTEMD_UNIT=systemd-logind.service", kind), others)
}

// wantStarts checks that the journal has the start of each session once, with its user,
// and that the leader is the sshd that said so.
func (m *Machine) wantStarts(users map[string]string) {
	m.t.Helper()
	leaders := map[string]string{} // by the PID of the sshd, the user
	for _, r := range m.Journal("_COMM=sshd", "_COMM=sshd-session", "--grep=session opened for user") {
		leaders[r["_PID"]] = r["MESSAGE"]
	}
	records := m.sessions(started, users)
	if len(records) != len(users) {
		m.t.Errorf("the journal has %d starts of sessions, want %d", len(records), len(users))
	}
	for _, r := range records {
		user := users[r["SESSION_ID"]]
		if said := fmt.Sprintf("session opened for user %s(", user); r["USER_ID"] != user || !strings.Contains(leaders[r["LEADER"]], said) {
			m.t.Errorf("session %s of %s started with user %s and leader %q", r["SESSION_ID"], user, r["USER_ID"], leaders[r["LEADER"]])
		}
	}
}

// wantStops checks that the journal has the end of each session once.
func (m *Machine) wantStops(users map[string]string) {
	m.t.Helper()
	var got []string
	for _, r := range m.sessions(stopped, users) {
		got = append(got, r["SESSION_ID"])
	}
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(users)); !slices.Equal(got, want) {
		m.t.Errorf("the journal has the ends of sessions %v, want %v", got, want)
	}
}
