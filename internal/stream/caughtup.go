package stream

// setTarget sets the target, unless it is set, to the last sequence known when a
// consumer first delivers. The roster is caught up when the position reaches the
// target.
func (r *reading) setTarget() {
	if !r.targetSet {
		r.target.Store(r.tail.Load())
		r.targetSet = true
	}
}

// updateCaughtUp sets caughtUp if the position has reached the target.
func (r *reading) updateCaughtUp() {
	//guard:drop r.position.Load "a roster that has not caught up is never shown as complete" TestLossIsNotCatchingUp
	if r.targetSet && r.position.Load() >= r.target.Load() {
		r.caughtUp.Store(true)
	}
}
