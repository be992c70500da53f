package ingest

import (
	"fmt"
	"strconv"
	"strings"

	"rollcall/internal/roster"
)

// headerSource is the header by which the server says from where it sourced a message. It
// removes what a publisher writes there, or refuses it (error 10227).
const headerSource = "Nats-Stream-Source"

// Its value, as nats-server writes it (genSourceHeader in server/stream.go):
//
//	<stream> <sequence> <filter> <destination> <subject> [<creation>]
//
// <stream> is the name of the source, and hashes of its API prefix and of its consumer, if it
// has these; <creation>, since 2.15, a hash of the time when it was created. Before 2.10 it
// was the reply subject of the message, which begins with $JS.ACK., or the stream and the
// sequence only.
const (
	sourceFields   = 5
	creationDigits = 8
	maxSourceField = 1024
	oldSourceReply = "$JS.ACK."
)

// unproven is the name of a source that a server before 2.10 wrote, which proves nothing. No
// stream can have it.
const unproven = "unproven source"

// parseSource reads the header.
func parseSource(values []string) (roster.Sourced, error) {
	if len(values) != 1 {
		return roster.Sourced{}, fmt.Errorf("%d of them, want one", len(values))
	}
	value := values[0]
	fields := strings.Split(value, " ")
	if strings.HasPrefix(value, oldSourceReply) || len(fields) == 2 {
		return roster.Sourced{Name: unproven}, nil
	}
	if len(fields) != sourceFields && len(fields) != sourceFields+1 {
		return roster.Sourced{}, fmt.Errorf("%d fields, want %d or %d", len(fields), sourceFields, sourceFields+1)
	}
	for i, field := range fields {
		if field == "" || len(field) > maxSourceField || strings.ContainsFunc(field, func(r rune) bool { return r < ' ' && r != '\f' || r == 0x7f }) {
			return roster.Sourced{}, fmt.Errorf("field %d is empty, too long or not text", i+1)
		}
	}
	sequence, err := strconv.ParseUint(fields[1], 10, 64)
	//guard:drop "fields[1][0] == '0'" "a sequence is what the server writes" TestParseSource
	if err != nil || fields[1][0] == '0' {
		return roster.Sourced{}, fmt.Errorf("%q is not a sequence", fields[1])
	}
	s := roster.Sourced{Name: fields[0], Sequence: sequence}
	if len(fields) > sourceFields {
		s.Creation = fields[sourceFields]
		if len(s.Creation) != creationDigits || strings.ContainsFunc(s.Creation, isNotDigit) {
			return roster.Sourced{}, fmt.Errorf("%q is not the hash of a creation", s.Creation)
		}
	}
	return s, nil
}

// isNotDigit reports whether a character is none of the digits of the server's hashes.
func isNotDigit(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// sourceRefusal refuses a message with such a header that no server known writes.
func sourceRefusal(err error) *roster.Refusal {
	return &roster.Refusal{
		Reason:  roster.Malformed,
		Problem: headerSource + ": " + err.Error(),
		Remedy:  "read the stream with a version of rollcall that knows this NATS server",
	}
}

// logSources logs what is missing of sources, one line for each in a batch.
func (in *Ingest) logSources(b *roster.Batch) {
	type loss struct {
		source string
		why    roster.Loss
	}
	var sums map[loss]uint64
	place := uint64(0)
	for i := range b.Messages {
		m := &b.Messages[i]
		why := roster.SourceGap
		switch {
		case m.Recreated:
			why = roster.SourceRecreated
		case m.Missing == 0:
			continue
		}
		if sums == nil {
			sums = make(map[loss]uint64)
		}
		sums[loss{m.Source.Name, why}] += m.Missing
		place = m.Place
	}
	for l, missing := range sums {
		name := l.source
		if in.SourceName != nil {
			name = in.SourceName(name)
		}
		in.letters.log.Error("events of a source are lost", "reason", l.why.String(), "source", name, "count", missing,
			"accept", fmt.Sprintf("ROLLCALL_ACCEPT_LOSS=%d", place))
	}
}
