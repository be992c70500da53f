package stream

import (
	"time"

	"rollcall/internal/roster"
)

// How the reader decides about a position. There are two witnesses: a fresh
// consumer, which delivers from the position on, and the leader of the stream,
// who is asked after the consumer has delivered. One odd answer is no proof, as
// an old leader may have given it, so the leader is asked until the answers
// decide. But nothing waits for the stream to hold still: what the consumer has
// delivered stays at hand while the leader is asked, whatever leaves the stream
// meanwhile. decide has the whole of it:
//
//	the leader tells of         the position's message    asked        then
//	no stream                                             once         ask again in a second
//	                                                      twice        make the stream
//	another name or created                               once         ask again in a second
//	                                                      twice        rebase: recreated
//	a last sequence before      (not asked for)           once         ask again in a second
//	the position's, or before                             twice        rebase: restored
//	what was known
//	our stream                  is another                once         ask again in a second
//	                                                      twice        rebase: restored
//	our stream                  is there                  once         read on
//	                            is gone, or none was read once         ask again at once
//	                                                      twice        read on
//	our stream, which begins    is there, gone or none    once         ask again: at once when the
//	after what comes next                                              consumer has delivered, else
//	                                                                   in a second
//	                                                      twice        lose what lies before both
//	                                                                   beginnings and before what the
//	                                                                   consumer has delivered
//	our stream, but before the  is there, gone or none    once         doubt: begin anew
//	consumer was made another
//	one thing, then another                               twice        doubt: begin anew
//
// Where the message of the position is gone, and that of an earlier position is
// not, that one is asked for in its place: when it is another, so is the stream.

// verdict is what the stream is, compared with a position in it.
type verdict string

const (
	same      verdict = "same"
	recreated verdict = "recreated" // another life of the stream
	restored  verdict = "restored"  // an older copy of the stream
	missing   verdict = "missing"   // no stream of that name
)

// incarnations are the verdicts that make the stream another incarnation.
var incarnations = []verdict{recreated, restored}

// proof is what becomes of the message of a position when it is asked for.
type proof string

const (
	gone    proof = "gone"    // the stream does not have it any more, or nothing was read
	held    proof = "held"    // it is there
	refuted proof = "refuted" // another message is there
)

// answer is what the leader of the stream has told once.
type answer struct {
	state
	missing bool // there is no stream of that name
	proof   proof
}

// question is what the leader is asked about.
type question struct {
	stream string
	at     roster.Position
	// tail is the last sequence known of: what the stream had once it has for
	// good, in this incarnation.
	tail uint64
	// delivered is the first sequence that the consumer delivers: nothing before
	// it will come. 0: it has not delivered yet.
	delivered uint64
	// created is that of the stream before the consumer was made, which may be of
	// that one. 0: nobody has asked.
	created roster.Time
}

// deed is what to do about a position.
type deed string

const (
	askAgain deed = "ask again"
	read     deed = "read on"
	lose     deed = "lose"
	rebase   deed = "rebase"
	remake   deed = "make the stream"
	doubts   deed = "begin anew"
)

// action is a deed and what belongs to it.
type action struct {
	deed
	wait    time.Duration // before it is asked again
	through uint64        // the last sequence to be lost
	found   verdict
	state   // of the last answer
}

// confirmAfter is when something is asked for once more: an old leader may
// still have answered the first time.
const confirmAfter = time.Second

// decide says what to do about a position, by the answers up to now.
func decide(q question, answers ...answer) action {
	last := answers[len(answers)-1]
	found := q.verdict(last)
	act := action{found: found, state: last.state}
	switch {
	//guard:false "another stream's deliveries are not the copy's" ^(TestDecide|TestConsumerOfAnother)$
	case found == same && q.created != 0 && q.created != last.created:
		act.deed = doubts
	//guard:false "one odd answer is no proof" ^(TestOddAnswers|TestOneOddAnswer)$
	case len(answers) == 1:
		act.deed, act.wait = q.once(found, last)
	case q.contradicts(answers):
		act.deed = doubts
	case found == missing:
		act.deed = remake
	case found != same:
		act.deed = rebase
	default:
		act.deed, act.through = q.twice(answers)
	}
	return act
}

// once is what to do after one answer.
func (q question) once(found verdict, a answer) (deed, time.Duration) {
	begun := a.first <= q.next(a.state)
	switch {
	//guard:drop a.proof "one odd answer makes no stream ours" ^(TestOddBeginnings|TestOddEnd)$
	case found == same && a.proof == held && begun:
		return read, 0
	case found == same && (begun || q.delivered > 0):
		return askAgain, 0
	}
	return askAgain, confirmAfter
}

// twice is what to do when the stream is ours, twice: whether what comes next
// has left it.
func (q question) twice(answers []answer) (deed, uint64) {
	begins := answers[0].first
	for _, a := range answers {
		begins = min(begins, a.first)
	}
	if q.delivered > 0 {
		begins = min(begins, q.delivered)
	}
	if begins <= q.next(answers[0].state) {
		return read, 0
	}
	return lose, begins - 1
}

// contradicts reports whether the answers are not about one stream.
func (q question) contradicts(answers []answer) bool {
	for _, a := range answers[1:] {
		if q.verdict(a) != q.verdict(answers[0]) || a.created != answers[0].created {
			return true
		}
	}
	return false
}

// verdict is what one answer says of the stream.
func (q question) verdict(a answer) verdict {
	switch {
	case a.missing:
		return missing
	case q.at.Proof.Stream == "": // nothing was ever read
		return same
	//guard:drop a.created "a recreated stream is not read on" ^TestDecide$
	case q.at.Proof.Stream != q.stream || q.at.Proof.Created != a.created:
		return recreated
	//guard:drop a.proof "another copy is noticed" ./internal/test/faults:TestIncarnations/forked_offline
	//guard:set max(...) q.at.Sequence() "a stream that lost unread messages is noticed" TestEndCutOff
	//guard:set max(...) q.tail "what is stored where the position was is read" TestCutBehindLosses
	case max(q.at.Sequence(), q.tail) > a.last, a.proof == refuted:
		return restored
	}
	return same
}

// next is the sequence that is to be read next. A position at which nothing was
// ever read is before the first one that the stream was to have.
func (q question) next(st state) uint64 {
	if q.at.Proof.Stream == "" {
		return st.origin()
	}
	return q.at.Sequence() + 1
}
