package fleet

import (
	"time"

	"rollcall/internal/roster"
)

// appendRefused adds events of machines whose clocks or programs are wrong.
func (f *Fleet) appendRefused(all []entry) []entry {
	if f.Machines == 0 {
		return all
	}
	count := min(max(f.Machines/1000, 5), 200)
	for i := range count {
		all = append(all, entry{
			at:      f.begin() * time.Duration(2*i+1) / time.Duration(2*count),
			machine: int32(f.draw(i, drawRefused, f.Machines)), who: int32(i), what: refused,
		})
	}
	return all
}

// refused is an event of each reason in turn.
func (f *Fleet) refused(e entry) roster.Event {
	v := roster.Event{
		Date: f.date(e), Type: roster.Login, Machine: f.Name(int(e.machine)),
		Session: roster.Session{User: user(int(e.who)), Service: "sshd", Remote: address(int(e.who))},
	}
	switch e.who % 5 {
	case 0: // future
		v.Date = v.Date.Add(26 * time.Hour)
	case 1: // bad_name: a zero-width space
		v.Session.User += "\u200b"
	case 2: // missing_field
		v.Session.User = ""
	case 3: // late
		v.Date = v.Date.Add(-45 * 24 * time.Hour)
	case 4: // bad_date
		v.Date = roster.MaxDate + 1
	}
	return v
}
