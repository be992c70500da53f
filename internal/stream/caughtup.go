package stream

// setTarget sets the target, unless it is set, to the last sequence known when a consumer
// first delivers. The roster is caught up when the position reaches the target.
func (r *reading) setTarget() {
	if !r.aimed {
		r.target.Store(r.tail.Load())
		r.aimed = true
	}
}

// updateCaughtUp sets caughtUp if the position has reached the target.
func (r *reading) updateCaughtUp() {
	//guard:drop r.position.Load "half a roster is never shown as the whole" TestLosingIsNotPassing
	if r.aimed && r.position.Load() >= r.target.Load() {
		r.caughtUp.Store(true)
	}
}
