package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/changes"
	"rollcall/internal/client"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// watcher is a running "rollcall watch" in this process.
type watcher struct {
	t         *testing.T
	out, err  kit.Output
	interrupt context.CancelFunc
	code      chan int
}

func watch(t *testing.T, args ...string) *watcher {
	t.Helper()
	w := &watcher{t: t, code: make(chan int, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	w.interrupt = cancel
	go func() { w.code <- run(ctx, append([]string{"watch"}, args...), streams{nil, &w.out, &w.err}) }()
	t.Cleanup(func() {
		if w.end(); t.Failed() {
			t.Logf("watch said\n%s", w.err.String())
		}
	})
	return w
}

// watchOwn watches a service with an embedded server, with the key in its data folder, and
// returns when it shows who is on.
func watchOwn(t *testing.T, p *process) *watcher {
	t.Helper()
	kit.Environment(t, map[string]string{"ROLLCALL_DATA_DIR": p.dir, "ROLLCALL_EMBEDDED_ADDR": strings.TrimPrefix(p.nats, "nats://")})
	w := watch(t)
	w.shows("webserver.local: lane\n")
	return w
}

// end interrupts it and returns the exit code.
func (w *watcher) end() int {
	w.interrupt()
	code := <-w.code
	w.code <- code
	return code
}

func (w *watcher) shows(text string) {
	w.t.Helper()
	kit.Eventually(w.t, func() bool { return w.out.Has(text) }, "it shows "+text)
}

// fakeService publishes what a service would, with dates one second apart.
type fakeService struct {
	t      *testing.T
	conn   *nats.Conn
	server *kit.Server
	place  uint64
}

func (s *fakeService) publish(subject string, message any) {
	s.t.Helper()
	data, err := json.Marshal(message)
	if err == nil {
		err = s.conn.Publish(subject, data)
	}
	if err == nil {
		err = s.conn.Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeService) change(machine string, previous uint64, users ...string) {
	s.t.Helper()
	s.place++
	s.publish("rollcall.changes."+rollcallv1.EncodeMachine(machine), api.Change{
		Machine: machine, When: kit.At.Add(time.Duration(s.place) * time.Second),
		Place: s.place, Previous: previous, Users: users, Heard: kit.At,
	})
}

// TestWatch: the state, then what changes, whatever is in the names.
func TestWatch(t *testing.T) {
	for name, args := range map[string]string{
		"watch": "--utc", "watch-glob": "web* --utc", "watch.json": "--output json",
	} {
		t.Run(name, func(t *testing.T) {
			answeringAt(t, office())
			w := watch(t, strings.Fields(args)...)
			w.shows("web2")
			service := &fakeService{t: t, conn: kit.Conn(t, os.Getenv("NATS_URL")), place: 9}
			service.change("web2", 9)
			service.change("web1", 3, `THESHIRE\pgustavo`, "chris", "jordan", "lane")
			service.change("db1", 9, "lane")
			service.change("web3", 9, "a\u202eb", "chris-with-a-long-name", "jordan-with-a-long-name", "日本語")
			service.change("web3", 13, "chris-with-a-long-name", "jordan-with-a-long-name", "lane-with-a-long-name", "日本語")
			service.place = 8
			service.change("web1", 8, "nobody") // is known already
			service.place = 14
			service.change("web2", 10, "last")
			w.shows("last")
			golden(t, name, result{w.end(), w.out.String(), w.err.String()})
		})
	}
}

// TestWatchMissed: a sign that a change was missed makes it ask again and print the
// difference.
func TestWatchMissed(t *testing.T) {
	for name, show := range map[string]func(*fakeService){
		"change": func(s *fakeService) { s.place = 50; s.change("db1", 50, "lane") },
		"large": func(s *fakeService) {
			s.publish("rollcall.changes.m", api.Change{Machine: "m", When: now, Place: 51, Previous: 1, Large: true, Heard: kit.At})
		},
		"beat":       func(s *fakeService) { s.publish("rollcall.changes", api.Beat{When: now, Place: 51, Since: 51}) },
		"lower beat": func(s *fakeService) { s.publish("rollcall.changes", api.Beat{When: now, Place: 0, Since: 0}) },
		"unreadable": func(s *fakeService) { s.publish("rollcall.changes.m", "no change") },
		"reconnect": func(s *fakeService) {
			connections, err := s.server.NATS().Connz(&server.ConnzOptions{})
			if err != nil {
				s.t.Fatal(err)
			}
			for _, c := range connections.Conns {
				if c.Name == "rollcall" {
					_ = s.server.NATS().DisconnectClientByID(c.Cid)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := office()
			nats := answeringAt(t, source)
			w := watch(t)
			w.shows("web2: lane\n")
			kit.Feed(source.Roster, kit.Login("web9", "chris"))
			show(&fakeService{t: t, server: nats, conn: kit.Conn(t, os.Getenv("NATS_URL"))})
			w.shows(" web9: +chris (chris)\n")
			if code := w.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// No reason to ask again: an expected beat, and changes of other machines.
func TestWatchNotMissed(t *testing.T) {
	source := office()
	answeringAt(t, source)
	w := watch(t, "web2")
	w.shows("web2: lane\n")
	kit.Feed(source.Roster, kit.Login("web2", "chris"))
	service := &fakeService{t: t, conn: kit.Conn(t, os.Getenv("NATS_URL")), place: 20}
	service.publish("rollcall.changes", api.Beat{When: now, Place: 10, Since: 9})
	service.change("web1", 19, "lane")
	service.change("web2", 9)
	w.shows("web2: -lane (nobody)\n")
	if got := w.out.String(); strings.Count(got, "\n") != 2 || w.err.String() != "" {
		t.Errorf("%q, %q", got, w.err.String())
	}
}

// TestWatchRefused: a login that is refused on reconnecting is reported with the reason.
func TestWatchRefused(t *testing.T) {
	nats := answeringAt(t, office())
	w := watch(t)
	w.shows("web2: lane\n")
	nats.Stop()
	nats.Start(kit.WithPassword("u", "right"))
	kit.Eventually(t, func() bool {
		return w.err.Has("refuses a connection without a login (nats: authorization violation): set one of NATS_CREDS")
	}, "watch reports why it is refused")
}

func TestWatchWithoutService(t *testing.T) {
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	rollcall(t.Context(), nil, "watch").check(t, exitFailed, "",
		"rollcall: watch: no rollcall answers on rollcall.query.report: is `rollcall serve` running on this NATS server? (NATS_URL="+s.URL+")\n")
	rollcall(t.Context(), nil, "watch", "a", "b").check(t, exitUsage, "", "rollcall: ")
}

// TestWatchProcess: the tool against the service, both as they are run.
func TestWatchProcess(t *testing.T) {
	p := serve(t, t.TempDir())
	if got := p.tool("", "publish", seedFile); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	p.reaches(6)
	cmd := exec.Command(filepath.Join(binary, "rollcall"), "watch", "--utc")
	var out, err kit.Output
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &err, kit.Only("NATS_URL="+p.nats)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // it has ended
	shows := func(text string) {
		t.Helper()
		kit.Eventually(t, func() bool { return out.Has(text) }, "watch shows "+text)
	}
	shows("webserver.local: lane\n")
	p.tool("", "publish", "--login", "chris", "--machine", "web.example.com")
	shows("+chris")
	p.tool("", "publish", "--shutdown", "--machine", "webserver.local")
	shows("-lane")
	cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // its exit code is looked at
	cmd.Wait()                         //nolint:errcheck // its exit code is looked at
	text := regexp.MustCompile(`\d\d:\d\d:\d\dZ`).ReplaceAllString(out.String(), "21:00:00Z")
	golden(t, "watch-process", result{cmd.ProcessState.ExitCode(), text, err.String()})
}

// live is a service with a changing roster, which can be stopped and restarted.
type live struct {
	t      *testing.T
	url    string
	roster *roster.Roster
	stop   func()
}

func (l *live) start() {
	l.t.Helper()
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		l.t.Fatal(err)
	}
	nc, caughtUp := kit.Conn(l.t, l.url), func() bool { return true }
	source := report.Source{Roster: l.roster, Stream: "EVENTS", CaughtUp: caughtUp}
	questions := query.New(query.Config{Source: source, Conn: nc, Subjects: subjects, Version: "1.0.0", Log: kit.Logger(l.t)})
	publisher := changes.NewPublisher(changes.Config{
		Roster: l.roster, CaughtUp: caughtUp, Conn: nc, Subjects: subjects, Instance: nuid.Next(), Interval: 10 * time.Millisecond,
		Beat: 100 * time.Millisecond, Log: kit.Logger(l.t), Registry: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(l.t.Context())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{questions.Run, publisher.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				l.t.Error(err)
			}
		})
	}
	l.stop = func() {
		cancel()
		running.Wait()
	}
}

// feed folds some events at random, each in a batch of its own.
func (l *live) feed(random *rand.Rand, n int) {
	machines, users := []string{"web1", "web2", "db.example.com", "m n"}, []string{"chris", "jordan", "lane", "日本語"}
	pick := func(of []string) string { return of[random.IntN(len(of))] }
	for range n {
		machine := pick(machines)
		switch random.IntN(12) {
		case 0:
			kit.Feed(l.roster, roster.Event{Type: roster.Shutdown, Machine: machine})
		case 1, 2, 3, 4:
			kit.Feed(l.roster, kit.Logout(machine, pick(users)))
		case 5:
			kit.Feed(l.roster, roster.Event{Type: roster.Present, Machine: machine, Sessions: []roster.Session{{User: pick(users)}}})
		default:
			kit.Feed(l.roster, kit.Login(machine, pick(users)))
		}
	}
}

// on returns who is on, by the roster: machine → users.
func (l *live) on() map[string][]string {
	on := map[string][]string{}
	for v := range l.roster.Machines("") {
		if users := v.AppendUsers(nil); len(users) > 0 {
			on[v.Name()] = users
		}
	}
	return on
}

// built returns the state after all lines that a watch printed. Each line must continue the
// one before of its machine.
func built(t *testing.T, lines io.Reader) map[string][]string {
	t.Helper()
	on := map[string][]string{}
	for scan := bufio.NewScanner(lines); scan.Scan(); {
		var d client.Difference
		if err := json.Unmarshal(scan.Bytes(), &d); err != nil {
			return nil // a line that isn't whole yet
		}
		want := append(slices.DeleteFunc(slices.Clone(on[d.Machine]), func(user string) bool { return slices.Contains(d.Left, user) }), d.Came...)
		slices.Sort(want)
		if !slices.Equal(want, d.Users) {
			t.Fatalf("%q were on, then came %s", on[d.Machine], scan.Bytes())
		}
		on[d.Machine] = d.Users
	}
	maps.DeleteFunc(on, func(_ string, users []string) bool { return len(users) == 0 })
	return on
}

// TestWatchToTheEnd: whatever happens to connections and the service, the printed lines add
// up to the true state.
func TestWatchToTheEnd(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	broker := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": broker.URL})
	service := &live{t: t, url: broker.URL, roster: roster.New(roster.DefaultSettings())}
	service.feed(random, 20)
	service.start()
	t.Cleanup(func() { service.stop() })
	kit.Eventually(t, func() bool { return rollcall(t.Context(), nil, "report").code == exitDone }, "the service answers")
	w := watch(t, "--output", "json")
	catchesUp := func(when string) {
		t.Helper()
		kit.Eventually(t, func() bool {
			return maps.EqualFunc(built(t, strings.NewReader(w.out.String())), service.on(), slices.Equal)
		}, when+" the watch has the true state")
	}
	catchesUp("at first")
	for step, happens := range []func(){
		func() {},
		func() { broker.Restart() },
		func() { service.stop(); service.feed(random, 5); service.start() },
		func() { service.stop(); broker.Restart(); service.feed(random, 5); service.start() },
		func() { // all was lost, and it begins with places that were given before
			service.stop()
			service.roster = roster.New(roster.DefaultSettings())
			service.start()
		},
	} {
		for i := range 200 {
			service.feed(random, 1+random.IntN(5))
			if i == 100 {
				happens()
			}
			if random.IntN(20) == 0 {
				<-time.After(time.Duration(random.IntN(12)) * time.Millisecond)
			}
		}
		catchesUp(fmt.Sprintf("seed %d: after step %d", seed, step))
	}
	if code := w.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
