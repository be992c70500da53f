package lease

import "context"

// publish makes what the rules know visible.
func (l *Lease) publish() {
	g := l.rules.grant()
	l.grant.Store(&g)
	if g.term != 0 {
		l.expiry.Reset(g.left)
	} else {
		l.expiry.Stop()
	}
	l.report()
}

// expire reports the end of a lease that nobody renewed.
func (l *Lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report()
}

// report logs and signals a change of the term.
func (l *Lease) report() {
	term := l.Term()
	if term == l.active {
		return
	}
	before := l.active
	l.active = term
	switch {
	case term != 0:
		l.Log.Info("this instance is active", "instance", l.Instance, "term", term)
	case l.rules.ending:
		l.Log.Info("this instance is no longer active: it ends", "instance", l.Instance, "term", before)
	default:
		l.Log.Warn("this instance is no longer active", "instance", l.Instance, "term", before, "cause", l.cause())
	}
	select {
	case l.changed <- struct{}{}:
	default: // it will be received
	}
}

// cause says why the lease has ended.
func (l *Lease) cause() string {
	key := &l.rules.key
	switch {
	case l.rules.holds():
		return "it could not renew the lease in time"
	case key.raw == nil:
		return "somebody deleted the lease"
	case key.err != nil:
		return "somebody overwrote the lease"
	}
	return "another instance has taken the lease"
}

// logSeen logs who holds the lease, if that is news; before is who did.
func (l *Lease) logSeen(before string, e *entry) {
	switch {
	case e.err != nil && e.revision != l.foreign:
		l.foreign = e.revision
		l.Log.Error("no instance has written the lease's value; it is replaced once it has stood still: find out who writes to the key",
			"key", l.bucket.subject, "revision", e.revision, "err", e.err)
	case e.Instance != "" && e.Instance != before && e.Instance != l.Instance:
		l.Log.Info("another instance holds the lease", "holder", e.Instance, "released", e.Released)
	}
}

// complain logs what failed, unless that is because the request was given up.
func (l *Lease) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		l.Log.WarnContext(ctx, "the lease cannot be read or written, retrying", "key", l.bucket.subject, "err", err)
	}
}
