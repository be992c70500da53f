package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/demo/fleet"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
)

// TestDemo starts everything twice with one folder, kills the service, and sees that the
// fleet is there, goes on, and has silent machines.
func TestDemo(t *testing.T) {
	o := options{
		fleet: fleet.Options{Seed: 2, Machines: 120, Hours: 26, Strange: true}, rate: 50, commands: true,
		page: "127.0.0.1:0", http: "127.0.0.1:0", nats: "127.0.0.1:0", folder: t.TempDir(), loglvl: "error",
	}
	d := startDemo(t, o)
	o.program = d.ready.Program
	first := d.status(t)
	if first.Machines != d.ready.Machines || first.Silent == 0 || first.Users == 0 || !first.Complete {
		t.Errorf("at the start: %+v", first)
	}
	kit.Eventually(t, func() bool { return d.status(t).Fates.Applied > first.Fates.Applied+100 }, "events go on")
	d.command(t, "kill service")
	d.command(t, "start service")
	d.command(t, "pause")
	d.end(t)

	d = startDemo(t, o)
	if again := d.status(t); again.Machines != first.Machines || again.Place <= first.Place || again.Silent != first.Silent {
		t.Errorf("started again: %+v, was %+v", again, first)
	}
	d.end(t)
}

// TestIncomplete: the roster of a fleet that lost some events is incomplete.
func TestIncomplete(t *testing.T) {
	d := startDemo(t, options{
		fleet: fleet.Options{Seed: 2, Machines: 2000, Hours: 3}, incomplete: true, commands: true,
		page: "127.0.0.1:0", http: "127.0.0.1:0", nats: "127.0.0.1:0", folder: t.TempDir(), loglvl: "error",
	})
	if st := d.status(t); st.Complete || len(st.Reasons) == 0 || st.Unsettled == 0 || st.Unsettled == st.Machines {
		t.Errorf("status: %+v", st)
	}
	d.end(t)
}

// TestOthers: the next list of a machine has what another publisher said of it.
func TestOthers(t *testing.T) {
	l := &live{open: make([][]roster.Session, 1)}
	at := roster.Time(1)
	lane, kim := roster.Session{User: "lane", ID: "1"}, roster.Session{User: "kim"}
	steps := []struct {
		e    roster.Event
		want string
	}{
		{roster.Event{Type: roster.Login, Session: lane}, "lane"},
		{roster.Event{Type: roster.Login, Session: lane}, "lane"},
		{roster.Event{Type: roster.Login, Session: kim}, "lane kim"},
		{roster.Event{Type: roster.Logout, Session: roster.Session{ID: "1"}}, "kim"},
		{roster.Event{Type: roster.Present, Sessions: []roster.Session{lane, kim}}, "lane kim"},
		{roster.Event{Type: roster.Logout, Session: roster.Session{User: "lane"}}, "kim"},
		{roster.Event{Type: roster.Boot}, ""},
	}
	for i, s := range steps {
		s.e.Date = at
		l.apply(0, &s.e)
		var users []string
		for _, o := range l.open[0] {
			users = append(users, o.User)
			if o.Since == 0 {
				t.Errorf("step %d: %s has no beginning", i, o.User)
			}
		}
		if got := strings.Join(users, " "); got != s.want || l.sessions != len(users) {
			t.Errorf("step %d: %q are on, %d sessions; want %q", i, got, l.sessions, s.want)
		}
	}
}

// TestCrossed: a machine that has listed who is on while another publisher's event was on
// its way lists it again.
func TestCrossed(t *testing.T) {
	server := kit.StartServer(t)
	conn := kit.Conn(t, server.URL)
	lists, err := conn.SubscribeSync(subjects.AllEvents()[1])
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	f := fleet.New(fleet.Options{Seed: 7, Machines: 1, Hours: 1, Now: time.Now()})
	l := &live{f: f, js: js, open: make([][]roster.Session, 1), number: map[string]int{f.Name(0): 0}, lists: make([]roster.Time, 1)}
	e := roster.Event{Type: roster.Login, Date: roster.TimeOf(time.Now()), Machine: f.Name(0), Session: roster.Session{User: "lane", ID: "1"}}
	for i, want := range []string{"[]", `"lane"`} {
		if i == 0 {
			err = l.list(0)
		} else {
			err = l.fold(&nats.Msg{Subject: subjects.EventsOf(e.Machine), Data: wire.AppendJSON(nil, &e)})
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := lists.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(m.Data), `"present"`) || !strings.Contains(string(m.Data), want) {
			t.Errorf("list %d: %s, want %s", i, m.Data, want)
		}
	}
}

func TestZone(t *testing.T) {
	for now, want := range map[string]string{
		"15:09": "Etc/GMT+0", "15:41": "Etc/GMT+1", "14:41": "Etc/GMT+0", "01:00": "Etc/GMT-14", "03:41": "Etc/GMT-11", "03:39": "Etc/GMT-12", "23:50": "Etc/GMT+9",
	} {
		at, err := time.Parse("15:04", now)
		if err != nil {
			t.Fatal(err)
		}
		if got := zone(at); got != want {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
}

// demo is one that runs.
type demo struct {
	ready   ready
	in      io.WriteCloser
	answers *bufio.Scanner
	done    chan error
}

func startDemo(t *testing.T, o options) *demo {
	t.Helper()
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	d := &demo{in: inWrite, answers: bufio.NewScanner(outRead), done: make(chan error, 1)}
	go func() {
		err := run(t.Context(), o, inRead, outWrite)
		outWrite.Close()
		d.done <- err
	}()
	if !d.answers.Scan() {
		t.Fatal("not ready: ", <-d.done)
	}
	if err := json.Unmarshal(d.answers.Bytes(), &d.ready); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *demo) command(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(d.in, text+"\n"); err != nil {
		t.Fatal(err)
	}
	var o outcome
	if !d.answers.Scan() || json.Unmarshal(d.answers.Bytes(), &o) != nil || o.Command != text || o.Error != "" {
		t.Fatalf("%s: %s", text, d.answers.Bytes())
	}
}

func (d *demo) status(t *testing.T) api.StatusAnswer {
	t.Helper()
	answer, err := client.One(t.Context(), kit.Conn(t, d.ready.NATS), subjects.Query("status"), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := api.Decode[api.StatusAnswer](answer)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (d *demo) end(t *testing.T) {
	t.Helper()
	d.in.Close()
	if err := <-d.done; err != nil {
		t.Error(err)
	}
}
