package history

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// sim is a stream, the service that reads it, and its history, of which each step
// is taken by hand: both can be killed between any two.
type sim struct {
	*rapid.T
	dir      string
	settings Settings

	// stream has the messages by sequence: the first at index 0, nil if it was deleted.
	created roster.Time
	stream  []*published
	now     roster.Time

	live      *roster.Roster
	history   *History
	snapshots []saved

	// told are the events that were accepted when they were first judged.
	told   map[string][]accepted
	judged uint64 // the greatest sequence judged of this stream
	lost   bool   // something may be missing from told, or the history
	kept   int    // how often count was answered by what was counted before
	ahead  bool   // the roster may have lost events that the history has

	changed bool // the settings have
}

// published is a message on a subject with this base.
type published struct {
	roster.Message
	subject string
}

// accepted is an event with its sequence, in the stream created then.
type accepted struct {
	created  roster.Time
	sequence uint64
	roster.Event
	limited bool // it was refused because of a limit
}

// saved is a snapshot.
type saved struct {
	data     []byte
	status   roster.Status
	settings roster.Settings
}

func newSim(t *rapid.T, dir string) *sim {
	s := &sim{T: t, dir: dir, created: 1, now: 100 * minute, told: map[string][]accepted{}}
	s.set()
	s.start()
	return s
}

// set draws the settings.
func (s *sim) set() {
	s.settings.MaxSkew = time.Duration(rapid.IntRange(1, 4).Draw(s.T, "skew")) * time.Minute
	s.settings.AllowedLateness = time.Duration(rapid.IntRange(1, 40).Draw(s.T, "lateness")) * time.Minute
	s.settings.MaxSessionsPerMachine = rapid.SampledFrom([]int{0, 0, 3, 4}).Draw(s.T, "sessions on a machine")
	s.settings.Subject = s.subject()
}

// subject draws the base of a subject.
func (s *sim) subject() string {
	return rapid.SampledFrom([]string{"rollcall", "rollcall", "rollcall", "other"}).Draw(s.T, "subject")
}

// start starts the service from the newest snapshot.
func (s *sim) start() {
	s.live = roster.New(s.settings.Settings)
	if n := len(s.snapshots); n > 0 {
		s.live = s.restore(&s.snapshots[n-1], s.settings.Settings)
	}
	s.history = Open(Config{
		Dir: s.dir, Roster: s.live, Subject: s.settings.Subject, Restore: s.restoreUpTo, Read: s.readAgain, CaughtUp: func() bool { return true },
		Keep: time.Duration(roster.MaxDate), MaxBytes: 1 << 40, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	if err := s.history.Failing(); err != nil {
		s.Fatal(err)
	}
	s.history.limits = limits{queued: 12, writeAt: 5, catchUpAt: 5, writeEvery: time.Hour, nearby: 3}
}

func (s *sim) restore(from *saved, now roster.Settings) *roster.Roster {
	r, err := roster.Restore(bytes.NewReader(from.data), roster.Encoded{
		Version: roster.EncodingVersion, Settings: from.settings, Position: from.status.Position,
	}, now)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *sim) restoreUpTo(place uint64) (*roster.Roster, error) {
	for i := len(s.snapshots) - 1; i >= 0; i-- {
		if s.snapshots[i].status.Position.Place <= place {
			return s.restore(&s.snapshots[i], s.snapshots[i].settings), nil
		}
	}
	return nil, nil
}

// kill ends the service without writing anything, and starts it again.
func (s *sim) kill() {
	_, removed := os.Stat(filepath.Join(s.dir, FileName)) // then nothing knows what decided before
	s.restart(rapid.IntRange(0, 3).Draw(s.T, "change settings") == 0 && removed == nil)
}

func (s *sim) restart(changed bool) {
	s.wantPreparedOnce()
	s.history.Close()
	if changed {
		s.set()
		s.changed = true
	}
	s.start()
	if changed {
		s.judgeAgain()
	}
	s.ahead = s.ahead || s.live.Status().Position.Place < s.history.Position().Place
	if s.live.Status().Position.Place == 0 && s.history.Position().Place == 0 {
		s.told, s.judged = map[string][]accepted{}, 0 // nothing is left of what was
	}
}

// judgeAgain forgets the events that are in no snapshot and not in the history: they are
// judged by other settings now.
func (s *sim) judgeAgain() {
	s.lost = true // what the roster judges again the history keeps as it was
	kept := uint64(0)
	for _, at := range []roster.Position{s.live.Status().Position, s.history.Position()} {
		if at.Proof.Created == s.created {
			kept = max(kept, at.Sequence())
		}
	}
	for name, list := range s.told {
		s.told[name] = slices.DeleteFunc(list, func(a accepted) bool { return a.created == s.created && a.sequence > kept })
	}
	s.judged = min(s.judged, kept)
}

// save saves a snapshot and removes old ones, as the service does.
func (s *sim) save() {
	enc := s.live.Encode()
	defer enc.Close()
	var b bytes.Buffer
	if _, err := enc.WriteTo(&b); err != nil {
		s.Fatal(err)
	}
	s.snapshots = append(s.snapshots, saved{b.Bytes(), enc.Status(), s.settings.Settings})
	place, reached, keep := s.history.Position().Place, false, 2
	for i := len(s.snapshots) - 1; i >= 0; i-- {
		first := !reached && s.snapshots[i].status.Position.Place <= place
		reached = reached || first
		if keep--; keep < 0 && !first {
			s.snapshots = slices.Delete(s.snapshots, i, i+1)
		}
	}
}

// publish stores messages in the stream.
func (s *sim) publish() {
	for _, e := range events(s.T) {
		s.now += minute
		e.Machine = rapid.SampledFrom([]string{"web1", "web2", "web3"}).Draw(s.T, "machine")
		e.Date = s.now - minute*roster.Time(rapid.SampledFrom([]int{-3, -1, 0, 0, 0, 0, 1, 2, 5, 20, 50}).Draw(s.T, "age"))
		for i := range e.Sessions {
			if e.Sessions[i].Since != 0 {
				e.Sessions[i].Since = e.Date - minute*roster.Time(rapid.IntRange(-2, 30).Draw(s.T, "told since"))
			}
		}
		s.stream = append(s.stream, &published{roster.Message{Receipt: s.now, Event: e}, s.subject()})
	}
}

// next returns the messages after a position as a batch, at most n, decoded as with a base
// of the subjects; nil if there are none.
func (s *sim) next(at roster.Position, n int, subject string) *roster.Batch {
	if at.Proof.Stream == "" {
		at.Proof = roster.Proof{Stream: "S", Created: s.created}
		at.Base = int64(at.Place)
	}
	b := &roster.Batch{End: at, Missing: roster.Truncated}
	if at.Place == 0 {
		b.Missing = roster.BaselineLost
	}
	for seq := at.Sequence() + 1; seq <= uint64(len(s.stream)) && len(b.Messages) < n; seq++ {
		b.End.Place = at.PlaceOf(seq)
		if m := s.stream[seq-1]; m != nil {
			c := m.Message
			c.Place = b.End.Place
			if m.subject != subject {
				c.Refusal = &roster.Refusal{Reason: roster.Identity}
			}
			b.Messages = append(b.Messages, c)
			b.End.Proof.Receipt = m.Receipt
		}
		b.End.Proof.Sequence = seq
	}
	if b.End.Place == at.Place {
		return nil
	}
	return b
}

// fold reads on and folds, at most n messages.
func (s *sim) fold(n int) {
	at, written := s.live.Status().Position, s.history.Position()
	// Without a snapshot, the places of a stream that did not begin at the first are not
	// found again: it is taken for another.
	anew := at.Proof.Stream == "" && written.Base != 0
	if read := cmp.Or(at.Proof.Created, written.Proof.Created); read != 0 && (read != s.created || anew) {
		if anew {
			s.judged = 0
		}
		next := roster.Position{Place: max(at.Place, written.Place), Proof: roster.Proof{Stream: "S", Created: s.created}}
		b := &roster.Batch{End: next.On(0), Missing: roster.Recreated, Unread: true}
		s.live.Fold(b)
		s.history.Put(b)
		return
	}
	b := s.next(at, n, s.settings.Subject)
	if b == nil {
		return
	}
	s.live.Fold(b)
	s.history.Put(b)
	for i := range b.Messages {
		m := &b.Messages[i]
		limited := m.Refusal != nil && m.Refusal.Reason == roster.Limit
		if seq := m.Place - uint64(b.End.Base); (m.Refusal == nil || limited) && seq > s.judged {
			s.told[m.Event.Machine] = append(s.told[m.Event.Machine], accepted{s.created, seq, m.Event, limited})
		}
	}
	s.judged = max(s.judged, b.End.Sequence())
	s.lost = s.lost || s.live.Status().Losses[roster.LossLimit] > 0
}

// readAgain reads the stream for the history.
func (s *sim) readAgain(ctx context.Context, from roster.Position, fold func(Decode)) error {
	for ctx.Err() == nil {
		if from.Proof.Stream != "" && from.Proof.Created != s.created {
			fold(func(string) *roster.Batch { return &roster.Batch{Unread: true} })
			continue
		}
		b := s.next(from, 4, "")
		if b == nil {
			s.Fatalf("nothing to read after %+v, the roster is at %+v", from, s.live.Status().Position)
		}
		fold(func(subject string) *roster.Batch { return s.next(from, 4, subject) })
		from = b.End
	}
	return nil
}

// write lets the history take one step, if it has anything to do.
func (s *sim) write() {
	if len(s.history.queue) == 0 && !s.history.behind {
		return
	}
	s.history.asked = true
	if err := s.history.step(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// count asks how many were on, and compares with the stays.
func (s *sim) count(from roster.Time) {
	s.write()
	q := &CountSpan{From: from, To: s.now + 5*minute, Step: 5 * minute}
	sweeps := s.history.counts.sweeps
	err := s.history.Counts(s.Context(), q, func(v *View, got []Count) error {
		all, _, err := v.Stays(&Span{To: roster.MaxDate, Limit: 1 << 30})
		if want := counted(all, q); err == nil && !slices.Equal(got, want) {
			s.Fatalf("%+v: got\n%+v\nwant\n%+v", q, got, want)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	if s.history.counts.sweeps == sweeps {
		s.kept++
	}
}

// purge removes messages from the stream.
func (s *sim) purge() {
	n := len(s.stream)
	from := rapid.IntRange(0, n).Draw(s.T, "purge from")
	to := rapid.IntRange(from, n).Draw(s.T, "purge to")
	if rapid.Bool().Draw(s.T, "the oldest") {
		from = 0
	}
	clear(s.stream[from:to])
	s.lost = true
}

// remove removes the files of the history.
func (s *sim) remove() {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(s.dir, FileName+suffix)); ignoreMissing(err) != nil {
			s.Fatal(err)
		}
	}
}

func (s *sim) recreate() {
	s.stream, s.created, s.judged = nil, s.created+1, 0
	s.lost = true
}
