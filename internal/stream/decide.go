package stream

import (
	"time"

	"rollcall/internal/roster"
)

// How the reader decides what to do about a position. There are two witnesses: a
// fresh consumer, which delivers from the position on, and the leader of the stream,
// which is asked after the consumer has delivered. One odd answer is no proof, since
// a deposed leader may have sent it: then the leader is asked again. But the stream
// need not be at rest: the messages that the consumer has delivered stay in memory
// while the leader is asked, even if they leave the stream meanwhile. decide
// implements this table:
//
//	the leader reports          the position's message    asked   then
//	no stream                                             once    ask again in a second
//	                                                      twice   create the stream
//	another name or another                               once    ask again in a second
//	time of creation                                      twice   rebase: recreated
//	a last sequence below the   (not requested)           once    ask again in a second
//	position's, or below the                              twice   rebase: restored
//	last one known
//	our stream                  is another                once    ask again in a second
//	                                                      twice   rebase: restored
//	our stream                  is present                once    continue
//	                            is gone, or none was read once    ask again at once
//	                                                      twice   continue
//	our stream, which begins    present, gone or none     once    ask again: at once if
//	after the next sequence                                       the consumer has
//	                                                              delivered, else in a
//	                                                              second
//	                                                      twice   lose what is before the
//	                                                              first sequence in both
//	                                                              answers and before the
//	                                                              first one delivered
//	our stream, but before the  present, gone or none     once    start over
//	consumer was created there
//	was another
//	two different streams                                 twice   start over
//
// If the message of the position is gone, but the stream has that of an earlier
// position, that one is compared instead: if it is another, so is the stream.

// verdict is what the stream is, compared with the stream of a position.
type verdict string

const (
	same      verdict = "same"
	recreated verdict = "recreated" // the stream was deleted and created again
	restored  verdict = "restored"  // an older copy of the stream
	missing   verdict = "missing"   // no stream of that name
)

// incarnations are the verdicts that mean another incarnation of the stream.
var incarnations = []verdict{recreated, restored}

// proof is the result of looking up the message of a position.
type proof string

const (
	gone    proof = "gone"    // the stream does not have it any more, or nothing was read
	proven  proof = "proven"  // the stream has it
	refuted proof = "refuted" // the stream has another message under its sequence
)

// answer is one answer of the stream's leader.
type answer struct {
	state
	noStream bool // there is no stream of that name
	proof    proof
}

// question is what the leader is asked about.
type question struct {
	stream string
	at     roster.Position
	// tail is the last sequence known. Within one incarnation the stream's last
	// sequence never decreases.
	tail uint64
	// delivered is the first sequence that the consumer delivers: it will deliver
	// nothing before that. 0: it has not delivered yet.
	delivered uint64
	// created is when the stream was created that existed before the consumer was: the
	// consumer may belong to that one. 0: not known.
	created roster.Time
}

// decision is what to do about a position. After startOver the
// consumer is recreated and the position verified from the start.
type decision string

const (
	askAgain  decision = "ask again"
	read      decision = "continue"
	lose      decision = "lose"
	rebase    decision = "rebase"
	recreate  decision = "create the stream"
	startOver decision = "start over"
)

// action is a decision and its parameters.
type action struct {
	decision
	wait    time.Duration // before asking again
	through uint64        // the last sequence to be lost
	found   verdict
	state   // of the last answer
}

// confirmAfter is how long to wait before asking again: a deposed leader may have
// sent the first answer.
const confirmAfter = time.Second

// decide returns what to do about a position, given the answers so far.
func decide(q question, answers ...answer) action {
	last := answers[len(answers)-1]
	found := q.verdict(last)
	act := action{found: found, state: last.state}
	for _, a := range answers {
		//guard:false "one odd answer does not make assigned places those of another stream" TestOddEndWithoutSnapshot
		if found == same && a.created == last.created {
			act.last = max(act.last, a.last) // it never decreases
		}
	}
	switch {
	//guard:false "what another stream's consumer delivered is not folded" ^(TestDecide|TestConsumerOfAnother)$
	case found == same && q.created != 0 && q.created != last.created:
		act.decision = startOver
	//guard:false "one odd answer is no proof" ^(TestOddAnswers|TestOneOddAnswer)$
	case len(answers) == 1:
		act.decision, act.wait = q.afterFirst(found, last)
	case q.contradicts(answers):
		act.decision = startOver
	case found == missing:
		act.decision = recreate
	case found != same:
		act.decision = rebase
	default:
		act.decision, act.through = q.afterSecond(answers)
	}
	return act
}

// afterFirst returns what to do after the first answer.
func (q question) afterFirst(found verdict, a answer) (decision, time.Duration) {
	begun := a.first <= q.next(a.state)
	switch {
	//guard:drop a.proof "one odd answer does not make another stream ours" ^(TestOddFirstAnswer|TestOddEnd)$
	case found == same && a.proof == proven && begun:
		return read, 0
	case found == same && (begun || q.delivered > 0):
		return askAgain, 0
	}
	return askAgain, confirmAfter
}

// afterSecond returns what to do after two answers that the stream is ours: lose what
// has left the stream unread, or continue.
func (q question) afterSecond(answers []answer) (decision, uint64) {
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

// contradicts reports whether the answers are about different streams.
func (q question) contradicts(answers []answer) bool {
	for _, a := range answers[1:] {
		if q.verdict(a) != q.verdict(answers[0]) || a.created != answers[0].created {
			return true
		}
	}
	return false
}

// verdict returns what one answer says about the stream.
func (q question) verdict(a answer) verdict {
	switch {
	case a.noStream:
		return missing
	case q.at.Proof.Stream == "": // nothing was ever read
		return same
	//guard:drop a.created "a recreated stream is not read from the old position" ^TestDecide$
	case q.at.Proof.Stream != q.stream || q.at.Proof.Created != a.created:
		return recreated
	//guard:drop a.proof "a diverged copy is detected" ./internal/test/faults:TestIncarnations/forked_offline
	//guard:set max(...) q.at.Sequence() "a stream that lost its unread end is detected" TestEndCutOff
	//guard:set max(...) q.tail "messages stored again below the position are read" TestEndCutOffBeforePosition
	case max(q.at.Sequence(), q.tail) > a.last, a.proof == refuted:
		return restored
	}
	return same
}

// next returns the sequence to read next. If nothing was ever read, that is the
// stream's origin.
func (q question) next(st state) uint64 {
	if q.at.Proof.Stream == "" {
		return st.origin()
	}
	return q.at.Sequence() + 1
}
