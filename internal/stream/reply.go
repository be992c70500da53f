package stream

import (
	"strings"

	"rollcall/internal/roster"
)

// metadata is what the reply subject of a delivered message contains.
type metadata struct {
	sequence uint64 // in the stream
	delivery uint64 // in the consumer
	pending  uint64 // messages after this one
	receipt  roster.Time
}

// numbersAt returns where the sequence begins in the reply subject of a
// delivered message, which is either
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivery>.<receipt>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>.<sequence>.<delivery>.<receipt>.<pending>[.<token>]
//
// (NATS ADR-15). The part before it is the same in all replies of one consumer
// without acks, since that delivers every message once.
func numbersAt(reply string) (at int, ok bool) {
	before := 5
	switch strings.Count(reply, ".") + 1 {
	case 9:
	case 11, 12:
		before = 7
	default:
		return 0, false
	}
	if !strings.HasPrefix(reply, "$JS.ACK.") {
		return 0, false
	}
	for range before {
		at += strings.IndexByte(reply[at:], '.') + 1
	}
	return at, true
}

// parseNumbers reads a reply subject from its sequence on.
func parseNumbers(text string) (m metadata, ok bool) {
	var receipt uint64
	for i, to := range [...]*uint64{&m.sequence, &m.delivery, &receipt, &m.pending} {
		if i > 0 {
			if text == "" || text[0] != '.' {
				return metadata{}, false
			}
			text = text[1:]
		}
		if *to, text, ok = cutUint(text); !ok {
			return metadata{}, false
		}
	}
	m.receipt = roster.Time(receipt)
	return m, text == "" || text[0] == '.'
}

// cutUint reads the digits that a text begins with: 1 to 19, which cannot
// overflow.
func cutUint(text string) (n uint64, rest string, ok bool) {
	i := 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		n = n*10 + uint64(text[i]-'0')
	}
	return n, text[i:], 0 < i && i <= 19
}
