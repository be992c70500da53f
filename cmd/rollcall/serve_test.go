package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"rollcall/internal/test/kit"
)

func eventsOf(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// TestServe: for the events of the seed, reports, answers and metrics have the content that
// the seed's script prints.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	p := serve(t, dir)
	reports, err := p.connect().SubscribeSync("rollcall.reports")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.tool("", "publish", seedFile); got.code != 0 || got.out != "6 stored\n" {
		t.Fatalf("publish: %+v", got)
	}
	p.reaches(6)
	p.wantReport("webserver.local: lane\n")
	for machine, users := range map[string]string{"webserver.local": "1", "myworkstation.local": "0", "mailserver.local": "0"} {
		if got := p.metric(`rollcall_logged_in_users{machine="` + machine + `"}`); got != users {
			t.Errorf("%s has %s users", machine, got)
		}
	}
	for {
		msg, err := reports.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("no report has all six events: %v", err)
		}
		if strings.Contains(string(msg.Data), `"place":6,`) {
			const want = `"complete":true,"reasons":[],"page":1,"pages":1,"machines":[{"machine":"mailserver.local",`
			if !strings.Contains(string(msg.Data), want) || !strings.Contains(string(msg.Data), `"users":["lane"]}]}`) {
				t.Errorf("report is %s", msg.Data)
			}
			break
		}
	}
	if got := p.get(strings.TrimSuffix(p.metrics, "metrics") + "readyz"); !strings.HasPrefix(got, "ok") {
		t.Errorf("readyz says %q", got)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	p = serve(t, dir) // from the snapshot
	p.wantReport("webserver.local: lane\n")
	if got := p.metric("rollcall_position"); got != "6" {
		t.Errorf("position is %s after a restart", got)
	}
}

// TestShuffled: the order of arrival doesn't matter.
func TestShuffled(t *testing.T) {
	events := eventsOf(t, seedFile)
	p := serve(t, t.TempDir())
	for i := range 5 {
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		prefix := fmt.Sprintf(`"machine": "%d.`, i)
		in := strings.ReplaceAll(strings.Join(events, "\n"), `"machine": "`, prefix)
		if got := p.tool(in, "publish"); got.out != "6 stored\n" {
			t.Fatalf("publish: %+v", got)
		}
	}
	p.reaches(30)
	p.wantReport("0.webserver.local: lane\n1.webserver.local: lane\n2.webserver.local: lane\n3.webserver.local: lane\n4.webserver.local: lane\n")
}

// TestSessionsJoin: Windows spells a user's domain in one way at logon and in
// another at logoff; only the session id shows that they belong together.
func TestSessionsJoin(t *testing.T) {
	p := serve(t, t.TempDir())
	in := `{"date":"2026-11-22T08:00:00Z","type":"login","machine":"ws5","user":"CORP.LOCAL\\ann","session":"0x3e7"}
{"date":"2026-11-22T08:00:01Z","type":"login","machine":"ws5","user":"CORP.LOCAL\\bob","session":"0x4a1"}
{"date":"2026-11-22T08:00:01Z","type":"logout","machine":"ws5","user":"CORP\\ann","session":"0x3e7"}
`
	p.tool(in, "publish")
	p.reaches(3)
	p.wantReport(`ws5: CORP.LOCAL\bob` + "\n")
}

// TestRefusals: publish reports lines that are not events, and stores the others; the same
// bytes from another client become dead letters.
func TestRefusals(t *testing.T) {
	p := serve(t, t.TempDir())
	bad := `{"date":"2026-11-22T08:00:00Z","type":"login","machine":"web","user":"a\u202eb"}`
	in := eventsOf(t, seedFile)[2] + "\n\n" + bad + "\nnot json\n" + strings.Replace(eventsOf(t, seedFile)[2], "lane", "chris", 1) + "\n"
	got := p.tool(in, "publish")
	if got.code != 1 || got.out != "2 stored, 2 refused\n" {
		t.Errorf("publish: %+v", got)
	}
	if want := regexp.MustCompile(`(?s)^stdin:3: bad_name: .+: .+\nstdin:4: malformed: .+: .+\n$`); !want.MatchString(got.err) {
		t.Errorf("publish says %q", got.err)
	}
	nc := p.connect()
	js := kit.JetStream(t, nc)
	for subject, payload := range map[string]string{"rollcall.events": bad, "rollcall.events.db": in[:strings.Index(in, "\n")]} {
		if _, err := js.Publish(t.Context(), subject, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	p.reaches(4)
	p.wantReport("webserver.local: chris, lane\n")
	kit.Eventually(t, func() bool {
		reasons := map[string]bool{}
		for place := 3; place <= 4; place++ {
			msg, err := getLetter(t, js, place)
			if err != nil {
				return false
			}
			reasons[msg.Header.Get("Rollcall-Reason")] = true
		}
		return reasons["bad_name"] && reasons["identity"]
	}, "both are dead letters, each with its reason")
	letters := regexp.MustCompile(`^[34]\t[^\t]+\tidentity\tdb\t`)
	if got := p.tool("", "deadletters", "--reason", "identity", "--machine", "db"); got.code != exitDone || !letters.MatchString(got.out) {
		t.Errorf("deadletters: %+v", got)
	}
}

func getLetter(t *testing.T, js jetstream.JetStream, place int) (*jetstream.RawStreamMsg, error) {
	s, err := js.Stream(t.Context(), "ROLLCALL_DEADLETTERS")
	if err != nil {
		t.Fatal(err)
	}
	return s.GetLastMsgForSubject(t.Context(), fmt.Sprintf("rollcall.deadletters.%d", place))
}

// TestKill: after kills at random moments while events flow, the roster is bit for bit that
// of an undisturbed service, and every place has one fate.
func TestKill(t *testing.T) {
	const kills, events = 8, 400
	server := kit.StartServer(t)
	nats := "NATS_URL=" + server.URL
	dir := t.TempDir()
	serve(t, dir, nats).stop(syscall.SIGTERM) // makes the streams
	stop, published := make(chan struct{}), make(chan int)
	go publishUntil(t, kit.JetStream(t, kit.Conn(t, server.URL)), stop, published)
	for range kills {
		p := begin(t, dir, nats)
		p.says("ready", "place")
		<-time.After(time.Duration(rand.IntN(120)) * time.Millisecond)
		p.stop(syscall.SIGKILL)
	}
	close(stop)
	n := <-published
	disturbed, plain := serve(t, dir, nats), serve(t, t.TempDir(), nats)
	disturbed.reaches(n)
	plain.reaches(n)
	if a, b := disturbed.digest(n), plain.digest(n); a != b {
		t.Errorf("after %d messages and %d kills the state_digest is %s, undisturbed %s", n, kills, a, b)
	}
	var fates int
	for _, fate := range []string{"applied", "superseded", "dead_lettered", "lost"} {
		var count int
		fmt.Sscan(disturbed.metric(`rollcall_fates{fate="`+fate+`"}`), &count)
		fates += count
	}
	if fates != n {
		t.Errorf("%d fates of %d messages", fates, n)
	}
	if a, b := disturbed.tool("", "report"), plain.tool("", "report"); a != b {
		t.Errorf("reports differ: %+v, %+v", a, b)
	}
}

// publishUntil publishes events, some of them bad, until stopped.
func publishUntil(t *testing.T, js jetstream.JetStream, stop <-chan struct{}, published chan<- int) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			published <- n
			return
		default:
		}
		kind := []string{"login", "logout", "login", "boot", "nonsense"}[rand.IntN(5)]
		event := fmt.Sprintf(`{"date":"2026-11-22T08:%02d:%02dZ","type":%q,"machine":"m%d","user":"u%d"}`,
			rand.IntN(60), rand.IntN(60), kind, rand.IntN(20), rand.IntN(10))
		if _, err := js.Publish(t.Context(), "rollcall.events", []byte(event)); err != nil {
			t.Errorf("publishing: %v", err)
		}
	}
}

// TestCannotServe: one clear message each, and the right exit code.
func TestCannotServe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	notAFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	badWeb := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(badWeb, []byte("basic_auth_users: {prometheus: s3cret}"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	serve(t, used)
	interest := kit.StartServer(t)
	_, err = kit.JetStream(t, kit.Conn(t, interest.URL)).CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, Retention: jetstream.WorkQueuePolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		variables []string
		code      int
		says      []string
	}{
		"nats port taken":   {[]string{"ROLLCALL_EMBEDDED_ADDR=" + taken.Addr().String()}, 1, []string{taken.Addr().String(), "in use", "NATS_URL=", "ROLLCALL_EMBEDDED_ADDR"}},
		"http port taken":   {[]string{"ROLLCALL_HTTP_ADDR=" + taken.Addr().String()}, 1, []string{taken.Addr().String(), "in use", "ROLLCALL_HTTP_ADDR"}},
		"pprof port taken":  {[]string{"ROLLCALL_PPROF_ADDR=" + taken.Addr().String()}, 1, []string{taken.Addr().String(), "in use", "ROLLCALL_PPROF_ADDR"}},
		"web configuration": {[]string{"ROLLCALL_HTTP_CONFIG_FILE=" + badWeb}, 78, []string{"ROLLCALL_HTTP_CONFIG_FILE", badWeb, "basic_auth_users", "not a bcrypt hash"}},
		"misspelt":          {[]string{"ROLLCALL_DATADIR=x", "ROLLCALL_MAX_SKEW=ten"}, 78, []string{"ROLLCALL_DATADIR", "ROLLCALL_DATA_DIR", `"ten"`}},
		"data folder":       {[]string{"ROLLCALL_DATA_DIR=" + notAFolder}, 1, []string{notAFolder}},
		"folder used":       {[]string{"ROLLCALL_DATA_DIR=" + used}, 1, []string{used, "another rollcall", "ROLLCALL_DATA_DIR"}},
		"no TLS":            {[]string{"NATS_URL=" + strings.Replace(interest.URL, "nats:", "tls:", 1)}, 78, []string{"does not speak TLS"}},
		"work queue":        {[]string{"NATS_URL=" + interest.URL}, 78, []string{"ROLLCALL_EVENTS", "retention"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, t.TempDir(), c.variables...)
			<-p.ended
			if code := p.cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			said := p.log.String()
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("doesn't say %q: %s", want, said)
				}
			}
			if strings.Contains(said, "s3cret") {
				t.Errorf("contains the password: %s", said)
			}
		})
	}
}

// TestScrape: a golden file has every series of a scrape, with its help and type; promlint
// finds nothing; no user is named.
func TestScrape(t *testing.T) {
	p := serve(t, t.TempDir())
	p.tool("", "publish", seedFile)
	p.reaches(6)
	scrape := p.get(p.metrics)
	problems, err := promlint.New(strings.NewReader(scrape)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	var got strings.Builder
	for line := range strings.Lines(scrape) {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), " ")
		if !strings.HasPrefix(name, "rollcall_") {
			continue
		}
		if !strings.HasPrefix(line, "#") {
			line = line[:strings.LastIndexByte(line, ' ')] + "\n" // the value varies
		}
		got.WriteString(buildLabels.ReplaceAllString(line, "rollcall_build_info{…}"))
	}
	if strings.Contains(scrape, "lane") || strings.Contains(scrape, "jordan") {
		t.Error("a user is named")
	}
	const golden = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("the series are not those of %s (%v); see the difference after -update", golden, err)
	}
}

var buildLabels = regexp.MustCompile(`rollcall_build_info\{.*\}`)

var update = flag.Bool("update", false, "rewrite the golden files")
