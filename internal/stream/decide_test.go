package stream

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// What the leader tells in the tests of decide, of a position at sequence 10 in
// a stream created at 1.
func tells(first, last uint64, p proof) answer {
	return answer{state: state{created: 1, first: first, last: last}, proof: p}
}

func createdAt(created roster.Time, a answer) answer {
	a.created = created
	return a
}

// TestDecide: the table that stands in decide.go, one line after the other.
func TestDecide(t *testing.T) {
	none := answer{missing: true}
	at := question{stream: name, at: roster.Position{Place: 10, Proof: roster.Proof{Stream: name, Created: 1, Sequence: 10}}, tail: 20}
	begun := func(delivered uint64) question { q := at; q.delivered = delivered; return q }
	renamed, shorter, nothing := at, at, question{stream: name}
	renamed.stream = "OTHER"
	shorter.tail = 5 // nothing was known of beyond the position
	onOurs, onAnother := at, at
	onOurs.created, onAnother.created = 1, 2
	ours := tells(1, 20, held)
	for _, c := range []struct {
		says    string
		q       question
		answers []answer
		want    action // without the state
	}{
		// There is no stream.
		{"missing", at, []answer{none}, action{decision: askAgain, wait: confirmAfter, found: missing}},
		{"missing twice", at, []answer{none, none}, action{decision: recreate, found: missing}},
		{"missing, then there", at, []answer{none, ours}, action{decision: startOver, found: same}},
		{"missing, and nothing was read", nothing, []answer{none, none}, action{decision: recreate, found: missing}},
		// It is another.
		{"created anew", at, []answer{createdAt(2, ours)}, action{decision: askAgain, wait: confirmAfter, found: recreated}},
		{"created anew, twice", at, []answer{createdAt(2, ours), createdAt(2, ours)}, action{decision: rebase, found: recreated}},
		{"created anew, and anew", at, []answer{createdAt(2, ours), createdAt(3, ours)}, action{decision: startOver, found: recreated}},
		{"another name", renamed, []answer{ours}, action{decision: askAgain, wait: confirmAfter, found: recreated}},
		{"another name twice", renamed, []answer{ours, ours}, action{decision: rebase, found: recreated}},
		// It is an older copy.
		{"ends before the position", shorter, []answer{tells(1, 9, gone)}, action{decision: askAgain, wait: confirmAfter, found: restored}},
		{"ends before the position, twice", shorter, []answer{tells(1, 8, gone), tells(1, 9, gone)}, action{decision: rebase, found: restored}},
		{"ends before what was known of", at, []answer{tells(1, 19, held), tells(1, 19, held)}, action{decision: rebase, found: restored}},
		{"has grown beyond the position", shorter, []answer{tells(1, 9, gone), tells(1, 20, gone)}, action{decision: startOver, found: same}},
		{"another message", at, []answer{tells(1, 20, refuted)}, action{decision: askAgain, wait: confirmAfter, found: restored}},
		{"another message twice", at, []answer{tells(1, 20, refuted), tells(1, 21, refuted)}, action{decision: rebase, found: restored}},
		{"another message, then ours", at, []answer{tells(1, 20, refuted), ours}, action{decision: startOver, found: same}},
		// It is ours.
		{"holds the position", at, []answer{ours}, action{decision: read, found: same}},
		{"does not have it any more", at, []answer{tells(11, 20, gone)}, action{decision: askAgain, found: same}},
		{"does not have it any more, twice", at, []answer{tells(11, 20, gone), tells(11, 25, gone)}, action{decision: read, found: same}},
		{"nothing was read", nothing, []answer{tells(1, 20, gone)}, action{decision: askAgain, found: same}},
		{"nothing was read, twice", nothing, []answer{tells(1, 20, gone), tells(1, 21, gone)}, action{decision: read, found: same}},
		{"nothing was read, of two streams", nothing, []answer{tells(1, 20, gone), createdAt(2, ours)}, action{decision: startOver, found: same}},
		// It begins after what comes next, and nothing is delivered.
		{"begins later", at, []answer{tells(15, 20, gone)}, action{decision: askAgain, wait: confirmAfter, found: same}},
		{"begins later, though it holds the position", at, []answer{tells(15, 20, held)}, action{decision: askAgain, wait: confirmAfter, found: same}},
		{"begins later, twice", at, []answer{tells(15, 20, gone), tells(17, 22, gone)}, action{decision: lose, through: 14, found: same}},
		{"begins later, oddly", at, []answer{tells(15, 20, gone), tells(11, 20, gone)}, action{decision: read, found: same}},
		{"has none left", at, []answer{tells(21, 20, gone), tells(22, 21, gone)}, action{decision: lose, through: 20, found: same}},
		// The consumer has delivered: what that has is at hand.
		{"begins after what was delivered", begun(13), []answer{tells(15, 20, gone)}, action{decision: askAgain, found: same}},
		{"begins after what was delivered, twice", begun(13), []answer{tells(15, 20, gone), tells(17, 22, gone)}, action{decision: lose, through: 12, found: same}},
		{"begins before what was delivered", begun(19), []answer{tells(15, 20, gone), tells(17, 22, gone)}, action{decision: lose, through: 14, found: same}},
		{"has delivered what comes next", begun(11), []answer{tells(15, 20, gone), tells(17, 22, gone)}, action{decision: read, found: same}},
		{"begins oddly late", begun(13), []answer{tells(15, 20, gone), tells(11, 20, gone)}, action{decision: read, found: same}},
		// The consumer may be of another.
		{"another before the consumer was made", onAnother, []answer{ours}, action{decision: startOver, found: same}},
		{"ours before the consumer was made", onOurs, []answer{ours}, action{decision: read, found: same}},
		{"another, before the consumer was made, too", onAnother, []answer{createdAt(2, ours), createdAt(2, ours)}, action{decision: rebase, found: recreated}},
		{"nothing was read, and another before the consumer was made", question{stream: name, created: 2}, []answer{tells(1, 20, gone)}, action{decision: startOver, found: same}},
	} {
		c.want.state = c.answers[len(c.answers)-1].state
		if got := decide(c.q, c.answers...); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.says, got, c.want)
		}
	}
}

// TestDecideAtTheOrigin: a stream that was made to begin anywhere has lost
// nothing before that.
func TestDecideAtTheOrigin(t *testing.T) {
	made := func(first, last uint64) answer {
		a := tells(first, last, gone)
		a.begins = 1001
		return a
	}
	for _, c := range []struct {
		answers []answer
		want    action
	}{
		{[]answer{made(1001, 1000), made(1001, 1000)}, action{decision: read}},
		{[]answer{made(1001, 1005), made(1001, 1006)}, action{decision: read}},
		{[]answer{made(1003, 1005), made(1004, 1006)}, action{decision: lose, through: 1002}},
	} {
		q := question{stream: name}
		if got := decide(q, c.answers...); got.decision != c.want.decision || got.through != c.want.through {
			t.Errorf("%v: %+v, want %+v", c.answers, got, c.want)
		}
	}
}

// stock is an inventory of the sequences from 11 on.
func stock(first, to uint64, removed []uint64, has ...uint64) *inventory {
	inv := &inventory{from: 11, to: to, state: state{first: first}, removed: removed}
	for _, seq := range has {
		inv.messages = append(inv.messages, Message{Sequence: seq})
	}
	return inv
}

// TestRunsOf: what becomes of the sequences of a gap, by what was found of them
// once, twice, and when it changes.
func TestRunsOf(t *testing.T) {
	some := []uint64{12, 13}
	for name, c := range map[string]struct {
		askings []*inventory
		want    string // found, to; or how long until it is asked again
	}{
		"there":                                 {[]*inventory{stock(1, 14, nil, 11, 12, 13)}, "[there 14]"},
		"deleted":                               {[]*inventory{stock(1, 14, some, 11)}, "[there 12 deleted 14]"},
		"absent":                                {[]*inventory{stock(1, 14, some)}, "again in 1s"},
		"absent twice":                          {[]*inventory{stock(1, 14, some), stock(1, 14, some)}, "[absent 12 deleted 14]"},
		"before the first":                      {[]*inventory{stock(13, 14, nil, 13)}, "again in 1s"},
		"before the first twice":                {[]*inventory{stock(13, 14, nil, 13), stock(14, 14, nil, 13)}, "[before the first 13 there 14]"},
		"absent, then there":                    {[]*inventory{stock(1, 12, nil), stock(1, 12, nil, 11)}, "[there 12]"},
		"absent, then before":                   {[]*inventory{stock(1, 13, nil), stock(14, 13, nil)}, "again in 0s"},
		"before, as is found last":              {[]*inventory{stock(1, 13, nil), stock(14, 13, nil), stock(15, 13, nil)}, "[before the first 13]"},
		"absent, but for an odd answer between": {[]*inventory{stock(1, 13, nil), stock(14, 13, nil), stock(1, 13, nil)}, "again in 0s"},
		"up to what is not clear":               {[]*inventory{stock(13, 15, nil), stock(14, 15, nil)}, "[before the first 13]"},
	} {
		runs, again, wait := runsOf(c.askings)
		got := fmt.Sprintf("again in %v", wait)
		if !again {
			var all []any
			for _, run := range runs {
				all = append(all, run.found, run.to)
			}
			got = fmt.Sprint(all)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestLossesAreSummed: every second message was deleted, each a loss of its own:
// a few lines a minute tell of all of them, by their first and last sequence and
// their number.
func TestLossesAreSummed(t *testing.T) {
	var log kit.Output
	play(t, func(p *player) {
		p.world.log = slog.New(slog.NewJSONHandler(&log, nil))
		p.publish(1000)
		for seq := uint64(2); seq < 1000; seq += 2 {
			p.life.remove(seq)
		}
		p.start()
		p.reads(1000)
		<-time.After(2 * lossesEvery)
	})
	lines, count, last := 0, 0, uint64(0)
	for in := bufio.NewScanner(strings.NewReader(log.String())); in.Scan(); {
		var line struct {
			Msg    string
			Count  int
			To     uint64
			Reason string
			Accept string
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil || line.Msg != "events are lost" {
			continue
		}
		lines++
		count += line.Count
		if last = line.To; line.Reason != "deleted" || line.Accept != acceptance(last) {
			t.Errorf("it says %s", in.Text())
		}
	}
	if lines == 0 || lines > 2*linesOfLosses || count != 499 || last != 998 {
		t.Errorf("%d lines tell of %d messages up to %d, want 499 up to 998", lines, count, last)
	}
}
