package snapshot

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

var update = flag.Bool("update", false, "make the golden files that are missing")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// began is when all histories of these tests begin.
var began = roster.TimeOf(time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC))

func after(d time.Duration) roster.Time { return began.Add(d) }

func position(place uint64) roster.Position {
	return roster.Position{Place: place, Base: 3, Proof: roster.Proof{
		Stream: "ROLLCALL_EVENTS", Created: began.Add(-time.Hour), Sequence: max(place, 3) - 3, Receipt: began.Add(time.Duration(place)),
		Hash: sha256.Sum256([]byte{byte(place)}),
	}}
}

// goldenSettings differ from the default ones.
var goldenSettings = roster.Settings{
	MaxSkew: 5 * time.Minute, AllowedLateness: 48 * time.Hour,
	MaxMachines: 1000, MaxSessions: 5000, MaxSessionsPerMachine: 100,
}

// goldenHeader has the fields of a header that don't come from the roster.
var goldenHeader = Header{
	Written: time.Date(2026, 11, 22, 22, 0, 0, 123456789, time.UTC), Version: "1.0.0", Settings: goldenSettings,
}

// golden returns a roster with everything that a snapshot has.
func golden() *roster.Roster {
	r := goldenBefore5()
	sourced := func(minute int, source, creation string, sequence uint64) roster.Message {
		m := goldenEvent(minute, roster.Login, "at "+source, roster.Session{User: "ada"})
		m.Source = roster.Sourced{Name: source, Creation: creation, Sequence: sequence}
		return m
	}
	goldenFold(r, []roster.Message{
		sourced(14, "EVENTS:0a1B2c3D", "first000", 44), sourced(15, "EVENTS", "first000", 1),
		sourced(15, "EVENTS:0a1B2c3D", "first000", 75), sourced(16, "EVENTS", "second00", 1),
	}, nil)
	return r
}

// goldenBefore5 returns a roster with everything that a snapshot had before format 5.
func goldenBefore5() *roster.Roster {
	r := goldenBefore3()
	numbered := func(m roster.Message, origin string, number uint64) roster.Message {
		m.Event.Origin, m.Event.Number = origin, number
		return m
	}
	list := goldenEvent(11, roster.Present, "agent", roster.Session{}, roster.Session{User: "ada", ID: "1"})
	list.Event.Every = 15 * time.Minute
	goldenFold(r, []roster.Message{
		numbered(list, "6f0c", 3),
		numbered(goldenEvent(12, roster.Login, "agent", roster.Session{User: "bob", ID: "2"}), "6f0c", 9),
		numbered(goldenEvent(13, roster.Logout, "agent", roster.Session{ID: "2"}), "6f0c", 9),
		numbered(goldenEvent(13, roster.Logout, "agent", roster.Session{ID: "2"}), "another", 1000),
	}, nil)
	return r
}

// goldenBefore3 returns a roster with every kind of register, detail, fate and loss that
// snapshots had before format 3, which continued with a greater allowed lateness.
func goldenBefore3() *roster.Roster {
	before := goldenSettings
	before.AllowedLateness = time.Hour
	r := roster.New(before)
	goldenFold(r, []roster.Message{
		goldenEvent(0, roster.Boot, "db.example.com", roster.Session{}),
		goldenEvent(1, roster.Login, "db.example.com", roster.Session{User: "root"}),
		goldenEvent(2, roster.Login, "db.example.com", roster.Session{User: "ada", ID: "c1", Terminal: "pts/0", Remote: "10.0.0.7", Service: "sshd"}),
		goldenEvent(3, roster.Login, "db.example.com", roster.Session{User: "bob", ID: "c2"}),
		goldenEvent(4, roster.Logout, "db.example.com", roster.Session{ID: "c2"}),
		{Receipt: after(4 * time.Minute), Refusal: &roster.Refusal{Reason: roster.Malformed}},
	}, roster.AllLosses()[:3])
	r, err := roster.Restore(bytes.NewReader(encoding(r)), encodedBy(before, r.Status().Position), goldenSettings)
	if err != nil {
		panic(err)
	}
	terminals := make([]roster.Session, 30)
	for i := range terminals {
		terminals[i] = roster.Session{User: fmt.Sprintf("guest%02d", i), ID: fmt.Sprintf("tty%02d", i), Since: after(-time.Hour)}
	}
	goldenFold(r, []roster.Message{
		goldenEvent(5, roster.Login, "db.example.com", roster.Session{User: "eve", ID: "c3"}),
		goldenEvent(6, roster.Logout, "db.example.com", roster.Session{User: "eve"}),
		goldenEvent(7, roster.Login, "MORDORDC.theshire.local", roster.Session{User: `THESHIRE.LOCAL\\WEC$`, ID: "0x3e7"}),
		goldenEvent(8, roster.Present, "terminals", roster.Session{}, terminals...),
		goldenEvent(1, roster.Login, "terminals", roster.Session{User: "zoë"}),
		goldenEvent(9, roster.Login, "terminals", roster.Session{User: "ada"}),
		goldenEvent(9, roster.Login, "quiet", roster.Session{User: "ada"}),
		goldenEvent(10, roster.Shutdown, "quiet", roster.Session{}),
	}, roster.AllLosses()[3:roster.SourceGap])
	return r
}

// encodedBy returns the description of a roster's current encoding.
func encodedBy(s roster.Settings, at roster.Position) roster.Encoded {
	return roster.Encoded{Version: roster.EncodingVersion, Settings: s, Position: at}
}

// goldenEvent returns an event dated in the given minute.
func goldenEvent(minute int, t roster.Type, machine string, s roster.Session, list ...roster.Session) roster.Message {
	date := after(time.Duration(minute)*time.Minute + time.Duration(minute)*time.Millisecond)
	return roster.Message{
		Receipt: date.Add(time.Second),
		Event:   roster.Event{Date: date, Type: t, Machine: machine, Session: s, Sessions: list},
	}
}

// goldenFold folds the messages, and then one loss of each kind.
func goldenFold(r *roster.Roster, messages []roster.Message, lost []roster.Loss) {
	place := r.Status().Position.Place
	for i := range messages {
		place++
		messages[i].Place = place
	}
	r.Fold(&roster.Batch{Messages: messages, End: position(place)})
	for _, loss := range lost {
		place++
		r.Fold(&roster.Batch{End: position(place), Missing: loss})
	}
}

func encoding(r *roster.Roster) []byte {
	var b bytes.Buffer
	enc := r.Encode()
	defer enc.Close()
	enc.WriteTo(&b)
	return b.Bytes()
}

func digest(r *roster.Roster) roster.Hash { return sha256.Sum256(encoding(r)) }

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// file returns a roster's snapshot.
func file(t failer, r *roster.Roster) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := r.Encode()
	defer enc.Close()
	h := goldenHeader
	h.Settings = r.Settings()
	info, err := Write(&b, enc, h)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	if info.Size != int64(b.Len()) {
		t.Fatalf("Write returned size %d, wrote %d bytes", info.Size, b.Len())
	}
	return b.Bytes()
}

// quiet is a log that is shown only if the test fails.
func quiet(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// history draws the batches of a fold, with refusals, losses and late events.
func history(t *rapid.T) []roster.Batch {
	var batches []roster.Batch
	place := uint64(0)
	for range rapid.IntRange(0, 12).Draw(t, "batches") {
		b := roster.Batch{Missing: roster.Loss(rapid.IntRange(0, int(roster.LossLimit)).Draw(t, "loss"))}
		for range rapid.IntRange(0, 10).Draw(t, "messages") {
			place += uint64(1 + rapid.IntRange(0, 20).Draw(t, "gap")/20)
			b.Messages = append(b.Messages, message(t, place))
		}
		b.End = position(place)
		batches = append(batches, b)
	}
	return batches
}

func message(t *rapid.T, place uint64) roster.Message {
	m := roster.Message{Place: place, Receipt: after(time.Duration(place) * time.Minute)}
	if rapid.IntRange(0, 19).Draw(t, "refused") == 0 {
		m.Refusal = &roster.Refusal{Reason: roster.BadName}
		return m
	}
	m.Event = roster.Event{
		Date:    m.Receipt.Add(-time.Duration(rapid.IntRange(-1, 90).Draw(t, "age")) * time.Minute),
		Type:    rapid.SampledFrom(roster.Types()).Draw(t, "type"),
		Machine: rapid.SampledFrom([]string{"a", "b", "web-1.example.com", "ä"}).Draw(t, "machine"),
		Session: session(t),
	}
	if m.Event.Type == roster.Present {
		seen := make(map[string]bool)
		for range rapid.IntRange(0, 4).Draw(t, "present") {
			s := session(t)
			if key := fmt.Sprint(s.ID, "/", strings.Repeat(s.User, 1-min(len(s.ID), 1))); !seen[key] {
				seen[key] = true
				m.Event.Sessions = append(m.Event.Sessions, s)
			}
		}
	}
	return m
}

func session(t *rapid.T) roster.Session {
	texts := rapid.SampledFrom([]string{"", "", "x", "pts/0"})
	return roster.Session{
		User:     rapid.SampledFrom([]string{"ada", "bob", "eve"}).Draw(t, "user"),
		ID:       rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(t, "id"),
		Since:    rapid.SampledFrom([]roster.Time{0, began}).Draw(t, "since"),
		Terminal: texts.Draw(t, "terminal"), Remote: texts.Draw(t, "remote"), Service: texts.Draw(t, "service"),
	}
}
