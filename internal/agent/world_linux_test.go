package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/agent/journal"
	"rollcall/internal/agent/logind"
	"rollcall/internal/agent/spool"
	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// world is a machine whose clock can be set, with its agent, and a stream whose server has
// the true time. Its journal and logind are as recorded on systemd 252; what the agent makes
// of them, it makes by its own code and in a spool on disk.
type world struct {
	t        interface{ Fatalf(string, ...any) }
	config   Config
	agent    *Agent        // nil: it does not run
	real     time.Time     // the true time
	ahead    time.Duration // by how much the clock is
	bootedAt time.Time     // in true time
	boots    int
	logind   recorded
	records  []journal.Record
	ids      int
	listed   time.Time // when the agent listed last, in true time
	reader   *spool.Reader
	stream   []roster.Message
}

// newWorld returns a world in which the agent has just started on a machine that has just
// booted.
func newWorld(t *testing.T, failer interface{ Fatalf(string, ...any) }) *world {
	dir := t.TempDir()
	w := &world{t: failer, real: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	w.config = Config{Machine: "web1", Every: 15 * time.Minute, Since: SinceBoot, Subjects: testSubjects(t), Dir: dir, Spool: openSpool(t, dir), Log: slog.New(slog.DiscardHandler)}
	w.reader = w.config.Spool.Reader()
	w.boot(0)
	w.start()
	return w
}

func (w *world) now() time.Time                        { return w.real.Add(w.ahead) }
func (w *world) booted() time.Time                     { return w.bootedAt.Add(w.ahead) }
func (w *world) steps(context.Context) <-chan struct{} { return nil }
func (w *world) bootID() string                        { return fmt.Sprint("boot ", w.boots) }

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

// boot boots the machine, after a power cut, with a clock that is ahead.
func (w *world) boot(ahead time.Duration) {
	w.agent, w.ahead = nil, ahead
	w.boots++
	w.bootedAt = w.real
	w.logind.sessions = map[string]logind.Session{}
	w.real = w.real.Add(20 * time.Second)
}

// start starts the agent, which does what live does at its beginning.
func (w *world) start() {
	ctx := context.Background()
	a, err := New(w.config)
	w.must(err)
	a.clock, a.bootID = w, w.bootID()
	a.sessions = sessions{machine: &w.logind, boot: a.bootID, held: map[string]held{}}
	read, _ := strconv.Atoi(a.Cursor)
	for i := read; i < len(w.records); i++ {
		w.must(a.past(ctx, &w.records[i]))
	}
	w.must(a.boot(a.bootID, w.booted()))
	w.must(a.present(ctx))
	a.reading.Store(true)
	w.agent, w.listed = a, w.real
	w.publish()
}

// write writes a record of logind to the journal.
func (w *world) write(r journal.Record) {
	w.real = w.real.Add(time.Millisecond)
	r.Boot, r.Time, r.Cursor = w.bootID(), w.now(), strconv.Itoa(len(w.records)+1)
	w.records = append(w.records, r)
	if w.agent != nil {
		w.must(w.agent.record(context.Background(), &r))
		w.must(w.agent.flush(context.Background()))
		w.publish()
	}
}

// login begins a session, and returns its id.
func (w *world) login() (id string) {
	w.ids++
	id = fmt.Sprint(w.ids)
	w.logind.sessions[id] = logind.Session{ID: id, User: "lane", Leader: uint32(w.ids), Class: "user", State: "active", Since: w.now()}
	w.write(started(id, "lane", w.ids))
	return id
}

// logout ends a session.
func (w *world) logout(id string) {
	leader := int(w.logind.sessions[id].Leader)
	delete(w.logind.sessions, id)
	w.write(loggedOut(id, "lane", leader))
	w.write(removed(id, "lane", leader))
}

// set sets the clock.
func (w *world) set(ahead time.Duration) {
	w.ahead = ahead
	if w.agent != nil {
		w.must(w.agent.stepped(context.Background()))
		w.publish()
	}
}

// wait lets time pass, in which the agent lists who is on.
func (w *world) wait(d time.Duration) {
	for end := w.real.Add(d); w.real.Before(end); {
		w.real = w.real.Add(min(time.Minute, end.Sub(w.real)))
		if w.agent != nil && w.real.Sub(w.listed) >= w.config.Every {
			w.listed = w.real
			w.must(w.agent.present(context.Background()))
			w.publish()
		}
	}
}

// publish stores in the stream what is in the spool.
func (w *world) publish() {
	d := wire.NewDecoder(w.config.Subjects)
	for {
		next, ok, err := w.reader.TryNext()
		w.must(err)
		if !ok {
			return
		}
		w.real = w.real.Add(time.Millisecond)
		m := roster.Message{Place: uint64(len(w.stream) + 1), Receipt: roster.TimeOf(w.real)}
		if refusal := d.Decode("", "", next.Payload, &m.Event); refusal != nil {
			w.t.Fatalf("%v", refusal)
		}
		m.Event.Sessions = slices.Clone(m.Event.Sessions)
		w.stream = append(w.stream, m)
	}
}

// on returns who is on by the stream, and what became of the last message.
func (w *world) on() (on []string, last roster.Fate) {
	r := roster.New(roster.DefaultSettings())
	b := roster.Batch{Messages: slices.Clone(w.stream)}
	b.End.Place = uint64(len(w.stream))
	r.Fold(&b)
	r.Machine("web1", func(v roster.View) {
		for _, s := range v.AppendSessions(nil) {
			on = append(on, s.ID)
		}
	})
	slices.Sort(on)
	return on, b.Messages[len(b.Messages)-1].Fate
}

// check checks that by the stream exactly those are on who are.
func (w *world) check(what string) {
	got, fate := w.on()
	want := slices.Sorted(maps.Keys(w.logind.sessions))
	if !slices.Equal(got, want) || fate == roster.DeadLettered {
		w.t.Fatalf("%s: on are %q, want %q; the last event is %v", what, got, want, fate)
	}
}
