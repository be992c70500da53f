package stream

import (
	"strings"

	"rollcall/internal/roster"
)

// metadata is what the reply subject of a delivered message tells.
type metadata struct {
	sequence uint64 // in the stream
	delivery uint64 // in the consumer
	pending  uint64 // messages after this one
	receipt  roster.Time
}

// parseReply reads the reply subject of a delivered message, which is either
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivery>.<receipt>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>.<sequence>.<delivery>.<receipt>.<pending>[.<token>]
//
// (NATS ADR-15). Reading it here costs no allocation.
func parseReply(reply string) (metadata, bool) {
	var tokens [12]string
	n := 0
	for token := range strings.SplitSeq(reply, ".") {
		if n == len(tokens) {
			return metadata{}, false
		}
		tokens[n] = token
		n++
	}
	if n != 9 && n < 11 || tokens[0] != "$JS" || tokens[1] != "ACK" {
		return metadata{}, false
	}
	numbers := tokens[5:9]
	if n > 9 {
		numbers = tokens[7:11]
	}
	var m metadata
	var receipt uint64
	for i, to := range []*uint64{&m.sequence, &m.delivery, &receipt, &m.pending} {
		v, ok := parseUint(numbers[i])
		if !ok {
			return metadata{}, false
		}
		*to = v
	}
	m.receipt = roster.Time(receipt)
	return m, true
}

// parseUint reads up to 19 digits, which cannot overflow.
func parseUint(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}
