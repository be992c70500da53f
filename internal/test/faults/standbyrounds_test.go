package faults

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

var handOvers = flag.Int("faults.handovers", len(standbyFaults), "how many rounds TestStandby has")

// standbyFault is something that happens to the active one of a pair, number i.
type standbyFault struct {
	name string
	// begin returns a function that ends the fault.
	begin func(p *pair, i int) (end func())
	// within is how long nobody may answer.
	within func(ttl time.Duration) time.Duration
}

// handOver is how long a hand-over may take, takeOver how long it may take until another one is
// active if the active one is gone.
func handOver(time.Duration) time.Duration     { return time.Second }
func takeOver(ttl time.Duration) time.Duration { return ttl + ttl/4 + time.Second }

var standbyFaults = []standbyFault{
	{"SIGTERM", func(p *pair, i int) func() {
		if state := p.members[i].end(syscall.SIGTERM); state.ExitCode() != 0 {
			p.t.Errorf("SIGTERM: %v", state)
		}
		return func() { p.start(i) }
	}, handOver},
	{"SIGKILL", func(p *pair, i int) func() {
		p.members[i].end(syscall.SIGKILL)
		return func() { p.start(i) }
	}, takeOver},
	{"SIGSTOP", func(p *pair, i int) func() {
		p.members[i].signal(syscall.SIGSTOP)
		return func() { p.members[i].signal(syscall.SIGCONT) }
	}, takeOver},
	{"stalled network", func(p *pair, i int) func() {
		p.members[i].link.stall(toServer, toClient)
		return p.members[i].link.heal
	}, takeOver},
	{"stalled to the server", func(p *pair, i int) func() {
		p.members[i].link.stall(toServer)
		return p.members[i].link.heal
	}, takeOver},
	{"cut network", func(p *pair, i int) func() {
		p.members[i].link.cut()
		return p.members[i].link.heal
	}, takeOver},
	{"both restarted", func(p *pair, i int) func() {
		p.members[i].end(syscall.SIGKILL)
		p.members[1-i].end(syscall.SIGTERM)
		p.start(i)
		p.start(1 - i)
		return func() {}
	}, func(ttl time.Duration) time.Duration { return takeOver(ttl) + 5*time.Second }}, // with two starts
}

// signal sends a signal.
func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Error(err)
	}
}

// TestStandby: whatever happens to the active service, another one takes over in time, and
// under load no answer goes back, no question has two answers, each change is published
// once, reports are of one process at a time, and each dead letter is stored once.
func TestStandby(t *testing.T) {
	const ttl = 2 * time.Second
	rng := random(t)
	server := kit.StartServer(t)
	p := newPair(t, server.URL, ttl)
	l := startLoad(t, server.URL)
	w := startWatch(t, server.URL)
	longest := map[string][]time.Duration{}
	for round := range *handOvers {
		fault := standbyFaults[round%len(standbyFaults)]
		active := p.awaitHealthy()
		<-upTo(rng, time.Second)
		l.longestGap()
		begun := time.Now()
		end := fault.begin(p, active)
		kit.Eventually(t, func() bool { return p.settled(fault.name, active) && l.answeredAt().After(begun) }, "another one is active")
		awaitAnswers(l)
		gap := l.longestGap()
		longest[fault.name] = append(longest[fault.name], gap)
		if most := fault.within(ttl); gap > most {
			t.Errorf("round %d, %s: nobody answered for %v, want at most %v", round, fault.name, gap, most)
		}
		end()
	}
	p.awaitHealthy()
	l.stop()
	report := p.members[0].report(server.URL)
	l.check(report)
	kit.Eventually(t, func() bool { return equalUsers(w.on(), report) }, "what watch prints adds up to the report")
	place := uint64(p.members[0].metric("rollcall_position"))
	p.members[1].awaitPlace(place)
	if a, b := p.members[0].digest(place), p.members[1].digest(place); a != b {
		t.Errorf("the rosters differ: %s, %s", a, b)
	}
	l.mu.Lock()
	switches := l.switches
	l.mu.Unlock()
	if takeovers := p.takeovers(); switches > takeovers {
		t.Errorf("reports were of another process %d times, which became active %d times", switches, takeovers)
	}
	l.figures(longest)
}

// awaitAnswers waits until answers arrive again without a pause.
func awaitAnswers(l *standbyLoad) {
	for begin := time.Now(); time.Since(begin) < 100*time.Millisecond; time.Sleep(time.Millisecond) {
		if time.Since(l.answeredAt()) > 50*time.Millisecond {
			begin = time.Now()
		}
	}
}

// settled reports whether another one is active, or any after a restart of both.
func (p *pair) settled(fault string, before int) bool {
	return p.isActive(1-before) || strings.HasPrefix(fault, "both") && p.isActive(before)
}

// awaitHealthy waits until one is active and the other one could be, and returns the number
// of the active one.
func (p *pair) awaitHealthy() int {
	p.t.Helper()
	for _, m := range p.members {
		kit.Eventually(p.t, func() bool {
			metrics := m.get("metrics")
			return !strings.Contains(metrics, "rollcall_nats_connected{connection=\"events\"} 0") &&
				!strings.Contains(metrics, "rollcall_nats_connected{connection=\"other\"} 0") && strings.Contains(metrics, "rollcall_caught_up 1")
		}, "a service reads")
	}
	return p.awaitBoth()
}

// figures logs the longest times without an answer.
func (l *standbyLoad) figures(longest map[string][]time.Duration) {
	for _, f := range standbyFaults {
		if gaps := longest[f.name]; len(gaps) > 0 {
			slices.Sort(gaps)
			l.t.Logf("%-22s %3d times, without an answer: median %v, longest %v", f.name, len(gaps), gaps[len(gaps)/2].Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	answered := 0
	for _, n := range l.answered {
		answered += n
	}
	l.t.Logf("%d questions, %d answered; %d arrivals in changes; reports of %d processes in turn; %d dead letters", len(l.answered), answered, len(l.came), l.switches, l.refused)
}

// equalUsers reports whether a watcher has what a report says.
func equalUsers(watched map[string][]string, report string) bool {
	return fmt.Sprint(watched) == fmt.Sprint(usersOf(report))
}
