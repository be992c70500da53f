package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// during runs a service, and something in the middle, after which the history must
// tell the same as before.
func during(t *testing.T, happen func(s *sim)) {
	n, failed := 0, false
	rapid.Check(t, func(t *rapid.T) {
		if n++; n%(3*share) != 1 && !failed { // each builds a history twice
			return
		}
		defer func() { failed = failed || t.Failed() }()
		dir, err := os.MkdirTemp("", "history")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s := newSim(t, dir)
		defer func() { s.history.Close() }()
		for range 3 {
			s.publish()
			s.fold(9)
			s.write()
		}
		happen(s)
		for range 3 {
			s.publish()
			s.fold(9)
			s.attempt()
		}
		s.finish()
		s.check()
		s.checkFleet()
		s.history.Close() // what counts is what is on the disk
		s.start()
		s.finish()
		s.check()
	})
}

// attempt lets the history take a step, which may fail.
func (s *sim) attempt() error {
	if len(s.history.queue) == 0 && !s.history.behind {
		return nil
	}
	s.history.asked = true
	err := s.history.step(s.Context())
	if damaged(err) {
		s.history.spoil()
	}
	s.history.note(err)
	return err
}

// setAsideIn counts the files that were set aside.
func setAsideIn(t *rapid.T, dir string) int {
	files, err := filepath.Glob(filepath.Join(dir, FileName+".bad*"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if !strings.HasSuffix(f, "-wal") && !strings.HasSuffix(f, "-shm") {
			n++
		}
	}
	return n
}

// TestDamaged: a file that is no history, or is damaged anywhere, is set aside, and
// the history is built again.
func TestDamaged(t *testing.T) {
	during(t, func(s *sim) {
		s.history.Close()
		path := filepath.Join(s.dir, FileName)
		b, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		damage := rapid.SampledFrom([]string{"text", "head", "cut", "version"}).Draw(s.T, "damage")
		switch damage {
		case "text":
			b = []byte(strings.Repeat("not a database ", 100))
		case "head":
			for i := range 64 {
				b[i] = byte(rand.Uint32())
			}
		case "cut":
			b = b[:len(b)/4096*2048]
			copy(b[100:], make([]byte, 1000))
		case "version":
			b[63]++
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			s.Fatal(err)
		}
		s.start()
		for range 5 {
			s.attempt()
		}
		if n := setAsideIn(s.T, s.dir); n != 1 {
			s.Fatalf("%s: %d files set aside, want 1", damage, n)
		}
	})
}

// TestRemoved: a history that is removed while it is used is built again, and nothing is
// answered by the numbers of the one before.
func TestRemoved(t *testing.T) {
	during(t, func(s *sim) {
		s.checkFleet()
		s.remove()
	})
}

// TestBuiltAnew: who loses the history loses the settings that decided what became of
// earlier messages. What is judged otherwise therefore is not complete.
func TestBuiltAnew(t *testing.T) {
	during(t, func(s *sim) {
		s.fold(1000)
		s.save()
		s.history.Close()
		s.settings.Subject = "nobody's"
		s.start()
		s.remove()
		s.lost = true
	})
}

// TestSettingsOfTheTime: messages that are read again are judged by the settings, and
// decoded as on the subjects, of the time when they were folded.
func TestSettingsOfTheTime(t *testing.T) {
	during(t, func(s *sim) {
		s.publish()
		s.fold(1000)
		s.save()
		s.restart(true)
		s.lost = false // all was folded before
	})
}

// TestSettingsBeforeABuilding: a history that was lost is built with the settings of the
// time although the service is started once more, with others, before it is.
func TestSettingsBeforeABuilding(t *testing.T) {
	during(t, func(s *sim) {
		s.fold(1000)
		s.save()
		s.remove()
		s.restart(false)
		s.restart(true)
		s.lost = false // all was folded before
	})
}

// TestRosterDecides: who is on in the roster, and nobody else, is on in the history, if it
// was built anew without the events, and if the roster has lost the last of them.
func TestRosterDecides(t *testing.T) {
	for _, anew := range []bool{false, true} {
		during(t, func(s *sim) {
			s.save()
			s.publish()
			s.fold(1000)
			s.write()
			if anew {
				clear(s.stream)
				s.remove()
			} else {
				s.recreate()
				s.restart(false)
			}
			s.lost, s.ahead = true, true
			s.finish()
			s.checkOpen()
		})
	}
}

// TestFull: while the disk is full the roster goes on, and the history is behind; then
// it catches up.
func TestFull(t *testing.T) {
	during(t, func(s *sim) {
		pages, err := pragma(s.history.w.c, "page_count")
		if err != nil {
			s.Fatal(err)
		}
		if err := run(s.history.w.c, fmt.Sprintf("pragma max_page_count = %d", pages)); err != nil {
			s.Fatal(err)
		}
		failed := false
		for range rapid.IntRange(1, 5).Draw(s.T, "times") {
			s.publish()
			s.fold(9)
			failed = s.attempt() != nil || failed
		}
		if failed && s.history.Failing() == nil {
			s.Fatal("the history does not say that it cannot be written")
		}
		if err := run(s.history.w.c, "pragma max_page_count = 1000000"); err != nil {
			s.Fatal(err)
		}
	})
}

// TestInterrupted: when the service ends before everything is written, the rest is
// written after the next start.
func TestInterrupted(t *testing.T) {
	interrupted := 0
	during(t, func(s *sim) {
		ctx, cancel := context.WithCancel(context.Background())
		s.publish()
		s.fold(9)
		close(s.history.interrupt)
		cancel()
		s.history.writeAtEnd = time.Hour
		before, queued := s.history.Position().Place, len(s.history.queue)
		s.history.Run(ctx)
		if queued > 0 && s.history.Position().Place == before {
			interrupted++
		}
		s.history.Close()
		s.start()
	})
	if interrupted == 0 {
		t.Error("everything was always written")
	}
}
