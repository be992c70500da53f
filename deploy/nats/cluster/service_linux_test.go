package cluster_test

import (
	"encoding/json"
	"strings"
	"time"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

// services are the machines with the services, in the order of the README.
var services = []string{"rollcall1", "rollcall2"}

// For how long nobody may answer: ttl is that of the lease, which the README does not change.
const (
	ttl      = 10 * time.Second
	takeOver = ttl + ttl/4 + time.Second
)

// install does what the package "rollcall" does.
func (w *world) install(m *machine.Machine) {
	w.t.Helper()
	m.Copy(program.Rollcall(w.t), "/usr/bin/rollcall")
	m.Copy("../../systemd/rollcall.service", "/usr/lib/systemd/system/rollcall.service")
	m.Copy("../../systemd/rollcall.conf", "/usr/lib/sysusers.d/rollcall.conf")
	m.Run("bash", "-euc", `
		systemd-sysusers rollcall.conf
		install -d -m 2750 -g rollcall /etc/rollcall
		systemctl daemon-reload
		systemctl enable --quiet rollcall`)
}

// active returns the machine whose service answers, and the other one. Both must be ready.
func (w *world) active() (active, other *machine.Machine) {
	w.t.Helper()
	one, two := w.machines[services[0]], w.machines[services[1]]
	program.Eventually(w.t, "one service answers, and the other one is ready", func() bool {
		a, b := w.metrics(one), w.metrics(two)
		active, other = one, two
		if b["rollcall_active"] == "1" {
			active, other = two, one
		}
		return a["rollcall_active"] != b["rollcall_active"] && a["rollcall_caught_up"] == "1" && b["rollcall_caught_up"] == "1"
	})
	return active, other
}

// metrics returns the metrics of a service; none, if it does not run.
func (w *world) metrics(m *machine.Machine) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	out, err := m.Try("curl", "--silent", "--fail", "http://127.0.0.1:8080/metrics")
	if err != nil {
		return all
	}
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[name] = value
		}
	}
	return all
}

// complaints returns what the services have logged above level info: how often by message.
func (w *world) complaints() map[string]int {
	w.t.Helper()
	all := map[string]int{}
	for _, host := range services {
		for _, r := range w.machines[host].Journal("--unit=rollcall") {
			var said struct{ Level, Msg string }
			if json.Unmarshal([]byte(r["MESSAGE"]), &said) == nil && said.Level != "INFO" && said.Msg != "" {
				all[said.Level+" "+said.Msg]++
			}
		}
	}
	return all
}

// watch starts "rollcall watch" of a reader.
func (w *world) watch() {
	w.t.Helper()
	w.operator.Start("watch", "bash", "-c", "set -a; . "+checkout+"/enrolled/readers/reader/nats.env; exec rollcall watch --output json >/root/watch.jsonl 2>/root/watch.log")
	program.Eventually(w.t, "the watch runs", func() bool {
		_, err := w.operator.Try("test", "-e", "/root/watch.log")
		return err == nil
	})
}

// watched returns who is on by what the watch has printed; nil while it has printed half a line.
func (w *world) watched() map[string][]string {
	w.t.Helper()
	on := map[string][]string{}
	for line := range strings.Lines(w.operator.Run("cat", "/root/watch.jsonl")) {
		var d struct {
			Machine string
			Users   []string
		}
		if json.Unmarshal([]byte(line), &d) != nil {
			return nil
		}
		on[d.Machine] = d.Users
		if len(d.Users) == 0 {
			delete(on, d.Machine)
		}
	}
	return on
}

// report returns who is on by the report.
func (w *world) report() map[string][]string {
	w.t.Helper()
	on := map[string][]string{}
	out := w.run("set -a; . enrolled/readers/reader/nats.env; rollcall report --output text 2>/dev/null")
	for line := range strings.Lines(out) {
		if machine, users, found := strings.Cut(strings.TrimSpace(line), ": "); found {
			on[machine] = strings.Split(users, ", ")
		}
	}
	return on
}
