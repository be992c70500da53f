package stream

// aim notes the last sequence when a consumer has delivered for the first time:
// the roster is caught up once it has passed that.
func (r *reading) aim() {
	if !r.aimed {
		r.target.Store(r.tail.Load())
		r.aimed = true
	}
}

// passed notes that the roster is caught up, if it is.
func (r *reading) passed() {
	//guard:drop r.position.Load "half a roster is never shown as the whole" TestLosingIsNotPassing
	if r.aimed && r.position.Load() >= r.target.Load() {
		r.caughtUp.Store(true)
	}
}
