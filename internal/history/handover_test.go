package history

import (
	"testing"

	"rollcall/internal/roster"
)

// store stores an event of web1 in the stream.
func (s *sim) store(e roster.Event) {
	s.now += minute
	e.Machine = "web1"
	s.stream = append(s.stream, &published{roster.Message{Receipt: s.now, Event: e}, s.settings.Subject})
}

// TestReadsNoFurtherThanTheFold: where the stream has lost what is next, the history that
// catches up could read what the fold has not read. It hands over where the fold is.
func TestReadsNoFurtherThanTheFold(t *testing.T) {
	during(t, func(s *sim) {
		s.store(roster.Event{Date: s.now, Type: roster.Boot})
		s.fold(1000)
		s.save()
		s.restart(false) // nothing of it is written
		clear(s.stream)
		s.lost = true
		s.store(roster.Event{Date: s.now, Type: roster.Login, Session: roster.Session{User: "alice"}})
		s.write()
		s.finish()
		s.checkOpen()
	})
}

// TestOlderThanTheRosterKnows: an event older than one that only the roster knows, as the
// history and the stream were lost, changes nobody's presence in either.
func TestOlderThanTheRosterKnows(t *testing.T) {
	during(t, func(s *sim) {
		s.store(roster.Event{Date: s.now, Type: roster.Boot})
		s.fold(1000)
		s.write()
		booted := s.now - minute
		s.remove()
		s.recreate()
		s.lost, s.ahead = true, true
		s.finish()
		s.store(roster.Event{Date: booted - minute/2, Type: roster.Login, Session: roster.Session{User: "alice"}})
		s.finish()
		s.checkOpen()
	})
}
