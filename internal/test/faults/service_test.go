package faults

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"rollcall/internal/ingest"
	"rollcall/internal/metrics"
	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// service is the part of "rollcall serve" between the stream and the roster, wired in
// the same way and running in this process.
type service struct {
	reg     *metrics.Registry
	store   *snapshot.Store
	roster  *roster.Roster
	reader  *stream.Reader
	ingest  *ingest.Ingest
	letters *ingest.DeadLetters
	end     func() // ends the reader
	endRest func() // ends the dead letters
}

// start starts the service from its last snapshot.
func (w *world) start() {
	w.t.Helper()
	s := &service{reg: metrics.NewRegistry()}
	log := w.log.logger()
	fatal := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	var err error
	s.store, err = snapshot.Open(w.dir, "test", log, s.reg)
	fatal(err)
	s.roster, _, err = s.store.Load(roster.DefaultSettings())
	fatal(err)
	if s.roster == nil {
		s.roster = roster.New(roster.DefaultSettings())
	}
	if w.accept > 0 {
		s.roster.Accept(w.accept)
	}
	s.reader, err = stream.New(stream.Config{
		Conn: w.nc, Stream: w.streams.Events, Log: log, Registry: s.reg, Make: w.prepare,
		Earlier: func() []roster.Position {
			positions, err := s.store.Positions()
			fatal(err)
			return positions
		},
	})
	fatal(err)
	s.letters, err = ingest.NewDeadLetters(w.other, w.streams.Subjects, w.streams.Events, log, s.reg)
	fatal(err)
	s.store.AwaitStored = s.letters.AwaitStored
	s.ingest = ingest.New(s.roster, w.streams.Subjects, s.letters, s.reader.CaughtUp, s.reg)
	s.reg.MustShow(metrics.NewCollector(s.roster, s.reader, metrics.Build{}, 100))
	w.service = s
	s.run(w)
	w.t.Cleanup(func() { s.end(); s.endRest() })
}

func (s *service) run(w *world) {
	s.endRest = background(func(ctx context.Context) { s.letters.Run(ctx) })
	tap := w.tap(s.roster.Status().Position.Place, s.ingest.Fold)
	s.end = background(func(ctx context.Context) {
		if err := s.reader.Run(ctx, s.roster.Status().Position, tap); err != nil {
			w.t.Errorf("the reader ended: %v", err)
		}
	})
}

// background runs a function in the background and returns a function that ends it.
func background(do func(context.Context)) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); do(ctx) }()
	return func() { cancel(); <-done }
}

// tap checks that places are in order and without gaps, except for those reported as
// lost, and that a place always belongs to the same message.
func (w *world) tap(last uint64, fold func(*stream.Batch)) func(*stream.Batch) {
	return func(b *stream.Batch) {
		w.mu.Lock()
		for i := range b.Messages {
			m := &b.Messages[i]
			if m.Place != last+1 {
				w.t.Errorf("place %d follows %d", m.Place, last)
			}
			last = m.Place
			if last <= w.replayTo && w.reader.CaughtUp() {
				w.t.Errorf("the reader reports caught up at place %d, before the end of the replay at %d", last, w.replayTo)
			}
			if before, ok := w.places[m.Place]; ok && before != string(m.Data) {
				w.t.Errorf("place %d belongs to two messages: %s and %s", m.Place, before, m.Data)
			}
			w.places[m.Place] = string(m.Data)
		}
		if b.End.Place < last {
			w.t.Errorf("the position moves back from %d to %d", last, b.End.Place)
		}
		last = b.End.Place
		w.mu.Unlock()
		fold(b)
	}
}

// stop ends the service as SIGTERM does, with a last snapshot.
func (w *world) stop() {
	w.t.Helper()
	w.end()
	w.save()
	w.endRest()
}

// save saves a snapshot.
func (w *world) save() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if _, err := w.store.Save(ctx, w.roster); err != nil {
		w.t.Fatal(err)
	}
}

// await waits until the roster is at the current end of the stream.
func (w *world) await() {
	w.t.Helper()
	kit.Eventually(w.t, func() bool {
		info, err := w.js.Stream(w.t.Context(), w.streams.Events)
		if err != nil {
			return false
		}
		is, at := info.CachedInfo(), w.roster.Status().Position
		return at.Proof.Created == roster.TimeOf(is.Created) && at.Sequence() == is.State.LastSeq && w.reader.CaughtUp()
	}, "the roster is at the end of the stream")
}

// gauges returns the values of a metric by its label values, joined by commas.
func (s *service) gauges(w *world, name string) map[string]float64 {
	w.t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			values[strings.Join(labels, ",")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

// check waits until the roster is at the end of the stream, and checks that it equals
// the oracle and is incomplete for exactly these reasons, that the fates add up, and
// that every refused event has one dead letter.
func (w *world) check(reasons ...string) {
	w.t.Helper()
	w.await()
	got := map[string][]string{}
	for v := range w.roster.Machines("") {
		got[v.Name()] = v.AppendUsers([]string{})
	}
	want := w.oracle()
	for machine := range want {
		if want[machine] == nil {
			want[machine] = []string{}
		}
	}
	if !reflect.DeepEqual(got, want) {
		w.t.Errorf("the roster is %v, want %v", got, want)
	}
	if st := w.roster.Status(); st.Fates.Sum() != st.Position.Place {
		w.t.Errorf("the fates %v do not add up to the place %d", st.Fates, st.Position.Place)
	}
	w.reasons = reasons
	w.checkReasons(reasons...)
	w.checkLetters()
}

func (w *world) checkReasons(reasons ...string) {
	w.t.Helper()
	complete, incomplete := 1.0, map[string]float64{}
	for reason := range w.gauges(w, "rollcall_incomplete") {
		incomplete[reason] = 0
	}
	for _, reason := range reasons {
		complete, incomplete[reason] = 0, 1
	}
	if got := w.gauges(w, "rollcall_complete")[""]; got != complete {
		w.t.Errorf("rollcall_complete is %v, want %v", got, complete)
	}
	if got := w.gauges(w, "rollcall_incomplete"); !maps.Equal(got, incomplete) {
		w.t.Errorf("rollcall_incomplete is %v, want %v", got, incomplete)
	}
}

func (w *world) checkLetters() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := w.letters.AwaitStored(ctx, w.roster.Status().Position.Place); err != nil {
		w.t.Fatal(err)
	}
	letters, err := w.js.Stream(ctx, w.streams.DeadLetters)
	if err != nil {
		w.t.Fatal(err)
	}
	if got, want := letters.CachedInfo().State.Msgs, w.refused(); int(got) != want+w.rejudged {
		w.t.Errorf("there are %d dead letters, want %d", got, want)
	}
	if dropped := w.gauges(w, "rollcall_dead_letters_dropped_total")[""]; dropped != 0 {
		w.t.Errorf("%v dead letters dropped", dropped)
	}
}

// checkFate checks the number of messages with a fate.
func (w *world) checkFate(fate roster.Fate, want uint64) {
	w.t.Helper()
	if got := w.roster.Status().Fates[fate]; got != want {
		w.t.Errorf("%d messages are %s, want %d", got, fate, want)
	}
}

// checkIncarnations checks how often this service found another incarnation.
func (w *world) checkIncarnations(kind string, want float64) {
	w.t.Helper()
	if got := w.gauges(w, "rollcall_incarnations_total")[kind]; got != want {
		w.t.Errorf("rollcall_incarnations_total{kind=%q} is %v, want %v", kind, got, want)
	}
}

// acceptLoss restarts the service with the setting that accepts the loss, from the log
// line about it.
func (w *world) acceptLoss(line map[string]any) {
	w.t.Helper()
	if _, err := fmt.Sscanf(fmt.Sprint(line["accept"]), "ROLLCALL_ACCEPT_LOSS=%d", &w.accept); err != nil {
		w.t.Fatalf("%v: %v", line, err)
	}
	w.stop()
	w.start()
}
