package history

import (
	"encoding/binary"

	"rollcall/internal/roster"
)

// packed is the open stays of a machine, in few bytes: each its strings, with their
// lengths, and its dates.
type packed struct {
	stays string
	n     int
}

func (p packed) size() int { return entry + len(p.stays) }

func pack(open map[Key]*openStay) packed {
	var b []byte
	for _, s := range open {
		for _, text := range [...]string{s.ID, s.User, s.Terminal, s.Remote, s.Service} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
		for _, date := range [...]roster.Time{s.Since, s.began, s.reset} {
			b = binary.BigEndian.AppendUint64(b, uint64(date))
		}
	}
	return packed{string(b), len(open)}
}

// open returns the stays. Their strings are parts of the packed ones.
func (p packed) open() map[Key]*openStay {
	open, stays := make(map[Key]*openStay, p.n), make([]openStay, p.n)
	rest := p.stays
	text := func() (s string) {
		n, size := binary.Uvarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		s, rest = rest[size:size+int(n)], rest[size+int(n):]
		return s
	}
	date := func() roster.Time {
		t := binary.BigEndian.Uint64([]byte(rest[:8]))
		rest = rest[8:]
		return roster.Time(t)
	}
	for i := range stays {
		s := &stays[i]
		s.ID, s.User, s.Terminal, s.Remote, s.Service = text(), text(), text(), text(), text()
		s.Since, s.began, s.reset = date(), date(), date()
		open[KeyOf(&s.Session)] = s
	}
	return open
}
