package nats_test

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

// agentAt boots a machine of a site whose agent publishes to the site's server, with the key that
// add-machine made.
func agentAt(t *testing.T, site *place, name string) *machine.Machine {
	t.Helper()
	m := machine.Boot(t, name)
	server, err := url.Parse(site.url)
	if err != nil {
		t.Fatal(err)
	}
	m.Forward(server.Host)
	const folder = "/etc/rollcall-agent/"
	m.Write(folder+"ca.pem", 0o640, []byte(read(t, site.path("tls/ca.pem"))))
	m.Write(folder+"machine.nk", 0o640, []byte(read(t, site.path("keys/"+name+".machine"))))
	m.Write(folder+"agent.env", 0o640, []byte("NATS_URL="+site.url+"\nNATS_CA="+folder+"ca.pem\nNATS_NKEY="+folder+"machine.nk\n"+
		"NATS_INBOX_PREFIX=_INBOX_"+strings.TrimSpace(read(t, site.path("keys/"+name+".key")))+"\nROLLCALL_AGENT_MACHINE="+name+"\n"))
	m.Copy(program.Build(t, "rollcall/cmd/rollcall-agent"), "/usr/bin/rollcall-agent")
	for file, to := range map[string]string{"rollcall-agent.service": "/etc/systemd/system/", "rollcall-agent.conf": "/usr/lib/sysusers.d/"} {
		content, err := os.ReadFile("../systemd/" + file)
		if err != nil {
			t.Fatal(err)
		}
		m.Write(to+file, 0o644, content)
	}
	m.Run("systemd-sysusers")
	m.Run("systemctl", "daemon-reload")
	m.Run("systemctl", "start", "rollcall-agent")
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := m.Try("journalctl", "--no-pager", "--unit=rollcall-agent")
			t.Logf("the agent: %s", log)
		}
	})
	return m
}

// awaitStored waits until the agent has made so many events, and all that it has made are stored.
// It returns how many these are.
func awaitStored(t *testing.T, m *machine.Machine, least int) (stored int) {
	t.Helper()
	program.Eventually(t, "all events of the agent are stored", func() bool {
		out, _ := m.Try("rollcall-agent", "status")
		found := regexp.MustCompile(`(?m)^events +(\d+), stored up to (\d+), waiting 0, dropped 0$`).FindStringSubmatch(out)
		if found == nil || found[1] != found[2] {
			return false
		}
		stored, _ = strconv.Atoi(found[1])
		return stored >= least
	})
	return stored
}

// onMachine is what rollcall who prints of a machine.
type onMachine struct {
	Heard, Newest time.Time
	Sessions      []struct{ User, Session string }
}

// who asks the service about a machine, as the reader at the hub.
func (i *installation) who(name string) (m onMachine) {
	i.t.Helper()
	out := i.hub.follow("export NATS_URL=" + i.hub.url + " NATS_CA=" + i.hub.path("tls/ca.pem") + " NATS_NKEY=" + i.hub.path("keys/reader.nk") +
		" NATS_INBOX_PREFIX=_INBOX_reader\nrollcall who " + name + " --output json")
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		i.t.Fatalf("%v: %s", err, out)
	}
	return m
}

// TestSiteAgent: the agent of a machine at a site needs no hub. While the line is cut, the site
// stores its events, and it removes them from its spool. When the line is back, the hub gets them,
// and the machine counts as heard at the events' dates.
func TestSiteAgent(t *testing.T) {
	const name = "web1.fra.example.com"
	i := newInstallation(t)
	i.want("position 2")
	m := agentAt(t, i.sites["fra"], name)
	before := awaitStored(t, m, 2) // that it has booted, and who is on
	i.want("position "+strconv.Itoa(2+before), missingOf("fra", 0), "complete 1")

	i.lines["fra"].Cut()
	at := time.Now()
	m.Run("sh", "-c", `for n in 1 2 3; do echo "{\"type\":\"login\",\"user\":\"ada\",\"session\":\"ftp-$n\",\"service\":\"vsftpd\"}" | rollcall-agent tell; done`)
	told := time.Now()
	if n := awaitStored(t, m, before+3); n != before+3 {
		t.Errorf("%d events are stored, want %d", n, before+3)
	}
	m.Run("systemctl", "restart", "rollcall-agent") // also one that starts while the line is cut
	stored := awaitStored(t, m, before+4)           // it says again who is on
	m.Run("systemctl", "stop", "rollcall-agent")
	stopped := time.Now()
	time.Sleep(time.Until(told.Add(5 * time.Second)))
	if got := i.who(name); len(got.Sessions) != 0 || !got.Heard.Before(at) {
		t.Errorf("during the cut the hub has %+v", got)
	}
	i.want("position " + strconv.Itoa(2+before))

	healed := time.Now()
	i.lines["fra"].Heal()
	i.want("position "+strconv.Itoa(2+stored), missingOf("fra", 0), "events_missing 0", "complete 1")
	got := i.who(name)
	if len(got.Sessions) != 3 || got.Sessions[0].User != "ada" {
		t.Errorf("on are %+v", got.Sessions)
	}
	if got.Heard != got.Newest || got.Heard.Before(at) || got.Heard.After(stopped) {
		t.Errorf("heard at %v, its newest event is of %v; told between %v and %v, and the line was back at %v", got.Heard, got.Newest, at, stopped, healed)
	}
}
