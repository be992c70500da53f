package nats_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/deploy/internal/program"
)

// people are users whose names mean something to JSON, a shell, a template or a terminal.
var people = []string{"lane", "two words", `O"Brien\`, "ada@EXAMPLE.COM", "$(id)", "{{ID}}", "'single'", "名前"}

// event returns a login on a machine, in JSON.
func event(t *testing.T, machine, user string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"date": time.Now().UTC().Format(time.RFC3339Nano), "type": "login", "machine": machine, "user": user, "session": user,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantAll waits until all people are on a machine.
func (o *operated) wantAll(machine string) {
	o.t.Helper()
	want := slices.Sorted(slices.Values(people))
	program.Eventually(o.t, "all are on "+machine, func() bool {
		out, err := command(o.t, o.as("reader"), "report", "--output", "json", machine)
		var report struct {
			Machines []struct{ Users []string }
		}
		return err == nil && json.Unmarshal([]byte(out), &report) == nil && len(report.Machines) == 1 && slices.Equal(report.Machines[0].Users, want)
	})
}

// TestAnyClient: with the credentials of a machine, the nats tool publishes, as in
// ../publishers/README.md.
func TestAnyClient(t *testing.T) {
	o := newOperated(t)
	o.enroll("web1")
	program.Serve(t, o.as("service")...)
	for _, user := range people {
		cmd := exec.Command(program.NATS(t), "--no-context", "--inbox-prefix", o.inbox("web1"), "publish", "--jetstream", "--no-templates", "rollcall.events.web1")
		cmd.Env = append(os.Environ(), o.as("web1")...)
		cmd.Stdin = strings.NewReader(event(t, "web1", user))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", user, err, out)
		}
	}
	o.wantAll("web1")
}

// TestDevices: a device that was enrolled publishes by MQTT for itself, and for nobody else;
// with its password nobody can log in by another protocol.
func TestDevices(t *testing.T) {
	mosquitto, err := exec.LookPath("mosquitto_pub")
	if err != nil {
		t.Fatal("mosquitto_pub is missing: apt-get install mosquitto-clients")
	}
	o := newOperated(t, "mqtt.conf")
	const door = "door.example.com"
	o.enroll("--mqtt", door)
	program.Serve(t, o.as("service")...)
	folder := o.path("enrolled/devices/" + door)
	password := read(t, folder+"/mqtt.jwt")
	topic := ""
	for line := range strings.Lines(read(t, folder+"/mqtt.env")) {
		if value, is := strings.CutPrefix(line, "MQTT_TOPIC="); is {
			topic = strings.TrimSpace(value)
		}
	}
	_, port, _ := net.SplitHostPort(o.mqtt)
	home := t.TempDir()
	write(t, filepath.Join(home, "mosquitto_pub"), fmt.Sprintf("--host 127.0.0.1\n--port %s\n--cafile %s\n--username %s\n--pw %s\n", port, o.path("ca.pem"), door, password))
	publish := func(topic, text string) error {
		cmd := exec.Command(mosquitto, "-V", "311", "-q", "1", "-t", topic, "-s")
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home)
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	for _, user := range people {
		if err := publish(topic, event(t, door, user)); err != nil {
			t.Fatalf("%q: %v", user, err)
		}
	}
	o.wantAll(door)
	_ = publish("rollcall/events/web1", event(t, "web1", "mallory")) // MQTT does not say that it is refused
	_ = publish("rollcall/reports", "{}")
	if err := publish(topic, event(t, door, "last")); err != nil {
		t.Fatal(err)
	}
	program.Eventually(t, "the last event counts", func() bool {
		out, err := command(t, o.as("reader"), "where", "last")
		return err == nil && strings.Contains(out, door)
	})
	if out, err := command(t, o.as("reader"), "where", "mallory"); err == nil {
		t.Errorf("a device published for another: %s", out)
	}
	out, err := command(t, []string{"NATS_URL=" + o.url, "NATS_CA=" + o.path("ca.pem"), "NATS_USER=" + door, "NATS_PASSWORD=" + password}, "report")
	if err == nil || !strings.Contains(out, "refuses") {
		t.Errorf("a device logged in by NATS: %v: %s", err, out)
	}
}
