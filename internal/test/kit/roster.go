package kit

import (
	"time"

	"rollcall/internal/roster"
)

// At is the time before the first receipt of Feed.
var At = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// Feed folds events as the next messages of a stream, received a second apart. The
// first is received a second after At. An event without a date gets its receipt as the
// date.
func Feed(r *roster.Roster, events ...roster.Event) {
	position := r.Status().Position
	var b roster.Batch
	for _, e := range events {
		position.Place++
		receipt := roster.TimeOf(At.Add(time.Duration(position.Place) * time.Second))
		if e.Date == 0 {
			e.Date = receipt
		}
		b.Messages = append(b.Messages, roster.Message{Place: position.Place, Receipt: receipt, Event: e})
	}
	b.End = position
	r.Fold(&b)
}

// Login is a login without a session.
func Login(machine, user string) roster.Event {
	return roster.Event{Type: roster.Login, Machine: machine, Session: roster.Session{User: user}}
}

// Logout is a logout without a session.
func Logout(machine, user string) roster.Event {
	return roster.Event{Type: roster.Logout, Machine: machine, Session: roster.Session{User: user}}
}

// On returns the event with a date such as "2006-01-02 15:04:05", in UTC.
func On(date string, e roster.Event) roster.Event {
	t, err := time.Parse(time.DateTime, date)
	if err != nil {
		panic(err)
	}
	e.Date = roster.TimeOf(t)
	return e
}

// Seed returns the roster of the six events in deploy/examples/seed.jsonl.
func Seed() *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	Feed(
		r,
		On("2020-01-21 12:45:56", Login("myworkstation.local", "jordan")),
		On("2020-01-22 15:53:42", Logout("webserver.local", "jordan")),
		On("2020-01-21 18:53:21", Login("webserver.local", "lane")),
		On("2020-01-22 10:25:34", Logout("myworkstation.local", "jordan")),
		On("2020-01-21 08:20:01", Login("webserver.local", "jordan")),
		On("2020-01-23 11:24:35", Logout("mailserver.local", "chris")),
	)
	return r
}
