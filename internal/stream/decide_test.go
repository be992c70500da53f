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

// answerOf is an answer of the leader about a stream created at 1. The position in
// the tests of decide is at sequence 10 of it.
func answerOf(first, last uint64, p proof) answer {
	return answer{state: state{created: 1, first: first, last: last}, proof: p}
}

func createdAt(created roster.Time, a answer) answer {
	a.created = created
	return a
}

// TestDecide: each line of the table in decide.go.
func TestDecide(t *testing.T) {
	none := answer{noStream: true}
	at := question{stream: name, at: roster.Position{Place: 10, Proof: roster.Proof{Stream: name, Created: 1, Sequence: 10}}, tail: 20}
	begun := func(delivered uint64) question { q := at; q.delivered = delivered; return q }
	renamed, shorter, nothing := at, at, question{stream: name}
	renamed.stream = "OTHER"
	shorter.tail = 5 // nothing is known beyond the position
	onOurs, onAnother := at, at
	onOurs.created, onAnother.created = 1, 2
	ours := answerOf(1, 20, proven)
	for _, c := range []struct {
		name    string
		q       question
		answers []answer
		want    action // without the state
	}{
		// There is no stream.
		{"missing", at, []answer{none}, action{decision: askAgain, wait: confirmAfter, found: missing}},
		{"missing twice", at, []answer{none, none}, action{decision: recreate, found: missing}},
		{"missing, then present", at, []answer{none, ours}, action{decision: startOver, found: same}},
		{"missing, and nothing was read", nothing, []answer{none, none}, action{decision: recreate, found: missing}},
		// It is another stream.
		{"recreated", at, []answer{createdAt(2, ours)}, action{decision: askAgain, wait: confirmAfter, found: recreated}},
		{"recreated, same answer twice", at, []answer{createdAt(2, ours), createdAt(2, ours)}, action{decision: rebase, found: recreated}},
		{"recreated, two different answers", at, []answer{createdAt(2, ours), createdAt(3, ours)}, action{decision: startOver, found: recreated}},
		{"another name", renamed, []answer{ours}, action{decision: askAgain, wait: confirmAfter, found: recreated}},
		{"another name twice", renamed, []answer{ours, ours}, action{decision: rebase, found: recreated}},
		// It is an older copy.
		{"ends before the position", shorter, []answer{answerOf(1, 9, gone)}, action{decision: askAgain, wait: confirmAfter, found: restored}},
		{"ends before the position, twice", shorter, []answer{answerOf(1, 8, gone), answerOf(1, 9, gone)}, action{decision: rebase, found: restored}},
		{"ends before the last known sequence", at, []answer{answerOf(1, 19, proven), answerOf(1, 19, proven)}, action{decision: rebase, found: restored}},
		{"has grown beyond the position", shorter, []answer{answerOf(1, 9, gone), answerOf(1, 20, gone)}, action{decision: startOver, found: same}},
		{"another message", at, []answer{answerOf(1, 20, refuted)}, action{decision: askAgain, wait: confirmAfter, found: restored}},
		{"another message twice", at, []answer{answerOf(1, 20, refuted), answerOf(1, 21, refuted)}, action{decision: rebase, found: restored}},
		{"another message, then ours", at, []answer{answerOf(1, 20, refuted), ours}, action{decision: startOver, found: same}},
		// It is ours.
		{"has the message of the position", at, []answer{ours}, action{decision: read, found: same}},
		{"no longer has the message of the position", at, []answer{answerOf(11, 20, gone)}, action{decision: askAgain, found: same}},
		{"no longer has the message of the position, twice", at, []answer{answerOf(11, 20, gone), answerOf(11, 25, gone)}, action{decision: read, found: same}},
		{"nothing was read", nothing, []answer{answerOf(1, 20, gone)}, action{decision: askAgain, found: same}},
		{"nothing was read, twice", nothing, []answer{answerOf(1, 20, gone), answerOf(1, 21, gone)}, action{decision: read, found: same}},
		{"nothing was read, of two streams", nothing, []answer{answerOf(1, 20, gone), createdAt(2, ours)}, action{decision: startOver, found: same}},
		// It begins after the next sequence, and nothing was delivered.
		{"begins later", at, []answer{answerOf(15, 20, gone)}, action{decision: askAgain, wait: confirmAfter, found: same}},
		{"begins later, but has the message of the position", at, []answer{answerOf(15, 20, proven)}, action{decision: askAgain, wait: confirmAfter, found: same}},
		{"begins later, twice", at, []answer{answerOf(15, 20, gone), answerOf(17, 22, gone)}, action{decision: lose, through: 14, found: same}},
		{"begins later in one answer only", at, []answer{answerOf(15, 20, gone), answerOf(11, 20, gone)}, action{decision: read, found: same}},
		{"has no messages left", at, []answer{answerOf(21, 20, gone), answerOf(22, 21, gone)}, action{decision: lose, through: 20, found: same}},
		// The consumer has delivered: its messages are in memory.
		{"begins after what was delivered", begun(13), []answer{answerOf(15, 20, gone)}, action{decision: askAgain, found: same}},
		{"begins after what was delivered, twice", begun(13), []answer{answerOf(15, 20, gone), answerOf(17, 22, gone)}, action{decision: lose, through: 12, found: same}},
		{"begins before what was delivered", begun(19), []answer{answerOf(15, 20, gone), answerOf(17, 22, gone)}, action{decision: lose, through: 14, found: same}},
		{"the next sequence was delivered", begun(11), []answer{answerOf(15, 20, gone), answerOf(17, 22, gone)}, action{decision: read, found: same}},
		{"begins after what was delivered in one answer only", begun(13), []answer{answerOf(15, 20, gone), answerOf(11, 20, gone)}, action{decision: read, found: same}},
		// The consumer may belong to another stream.
		{"another stream before the consumer was created", onAnother, []answer{ours}, action{decision: startOver, found: same}},
		{"our stream before the consumer was created", onOurs, []answer{ours}, action{decision: read, found: same}},
		{"another stream, also before the consumer was created", onAnother, []answer{createdAt(2, ours), createdAt(2, ours)}, action{decision: rebase, found: recreated}},
		{"nothing was read, and another stream before the consumer was created", question{stream: name, created: 2}, []answer{answerOf(1, 20, gone)}, action{decision: startOver, found: same}},
	} {
		c.want.state = c.answers[len(c.answers)-1].state
		if got := decide(c.q, c.answers...); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestDecideAtTheOrigin: a stream with a configured first sequence has lost nothing
// before it.
func TestDecideAtTheOrigin(t *testing.T) {
	configured := func(first, last uint64) answer {
		a := answerOf(first, last, gone)
		a.configuredFirst = 1001
		return a
	}
	for _, c := range []struct {
		answers []answer
		want    action
	}{
		{[]answer{configured(1001, 1000), configured(1001, 1000)}, action{decision: read}},
		{[]answer{configured(1001, 1005), configured(1001, 1006)}, action{decision: read}},
		{[]answer{configured(1003, 1005), configured(1004, 1006)}, action{decision: lose, through: 1002}},
	} {
		q := question{stream: name}
		if got := decide(q, c.answers...); got.decision != c.want.decision || got.through != c.want.through {
			t.Errorf("%v: %+v, want %+v", c.answers, got, c.want)
		}
	}
}

// checkOf is a check of the sequences from 11 on.
func checkOf(first, to uint64, removed []uint64, has ...uint64) *gapCheck {
	c := &gapCheck{from: 11, to: to, state: state{first: first}, removed: removed}
	for _, seq := range has {
		c.messages = append(c.messages, Message{Sequence: seq})
	}
	return c
}

// TestDecideGap: what is decided about the sequences of a gap after one check, after
// two, and when findings change between checks.
func TestDecideGap(t *testing.T) {
	some := []uint64{12, 13}
	for name, c := range map[string]struct {
		checks []*gapCheck
		want   string // found, to; or how long until the next check
	}{
		"present":                            {[]*gapCheck{checkOf(1, 14, nil, 11, 12, 13)}, "[present 14]"},
		"deleted":                            {[]*gapCheck{checkOf(1, 14, some, 11)}, "[present 12 deleted 14]"},
		"absent":                             {[]*gapCheck{checkOf(1, 14, some)}, "retry in 1s"},
		"absent twice":                       {[]*gapCheck{checkOf(1, 14, some), checkOf(1, 14, some)}, "[absent 12 deleted 14]"},
		"before the first":                   {[]*gapCheck{checkOf(13, 14, nil, 13)}, "retry in 1s"},
		"before the first twice":             {[]*gapCheck{checkOf(13, 14, nil, 13), checkOf(14, 14, nil, 13)}, "[before the first 13 present 14]"},
		"absent, then present":               {[]*gapCheck{checkOf(1, 12, nil), checkOf(1, 12, nil, 11)}, "[present 12]"},
		"absent, then before":                {[]*gapCheck{checkOf(1, 13, nil), checkOf(14, 13, nil)}, "retry in 0s"},
		"before, in the last two checks":     {[]*gapCheck{checkOf(1, 13, nil), checkOf(14, 13, nil), checkOf(15, 13, nil)}, "[before the first 13]"},
		"absent, with an odd answer between": {[]*gapCheck{checkOf(1, 13, nil), checkOf(14, 13, nil), checkOf(1, 13, nil)}, "retry in 0s"},
		"up to the first unclear one":        {[]*gapCheck{checkOf(13, 15, nil), checkOf(14, 15, nil)}, "[before the first 13]"},
	} {
		runs, retry, wait := decideGap(c.checks)
		got := fmt.Sprintf("retry in %v", wait)
		if !retry {
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

// TestLossesAreSummed: when every second message was deleted, each is a loss of its
// own, but a few lines a minute log them all, with the first and last sequence and
// the count.
func TestLossesAreSummed(t *testing.T) {
	var log kit.Output
	play(t, func(p *player) {
		p.world.log = slog.New(slog.NewJSONHandler(&log, nil))
		p.publish(1000)
		for seq := uint64(2); seq < 1000; seq += 2 {
			p.stream.remove(seq)
		}
		p.start()
		p.awaitSequence(1000)
		<-time.After(2 * lossLogInterval)
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
		if last = line.To; line.Reason != "deleted" || line.Accept != acceptSetting(last) {
			t.Errorf("logged %s", in.Text())
		}
	}
	if lines == 0 || lines > 2*maxLossLines || count != 499 || last != 998 {
		t.Errorf("%d lines log %d lost messages up to %d, want 499 up to 998", lines, count, last)
	}
}
