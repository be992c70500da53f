package stream

import (
	"fmt"
	"time"

	"rollcall/internal/roster"
)

// lose moves the position to a sequence and counts all up to it as lost.
func (r *reading) lose(through uint64, why roster.Loss) {
	from := r.at.Sequence() + 1
	end := r.at.On(r.at.Sequence())
	end.Place = end.PlaceOf(through)
	r.losses.add(why, from, through, end.Place)
	r.logLosses(false)
	r.fold(&Batch{End: end, Missing: why})
	r.setPosition(end)
	r.lastMoveLost = true
	//guard:false "a loss does not make the roster caught up" TestLossIsNotCatchingUp
	if r.position.Load() >= r.target.Load() {
		// The messages up to the target are gone. A loss is not catching up: the
		// stream may have more by now.
		r.target.Store(r.tail.Load())
	}
	r.updateCaughtUp()
}

// losses are the losses not logged yet, by reason. Every second message may have
// been deleted, each a loss of its own: all of them are logged in a few lines a
// minute.
type losses struct {
	unlogged map[roster.Loss]*lossSum
	lines    int       // logged since then
	since    time.Time // when the interval of lossLogInterval began
}

// lossSum sums up the losses of one reason: the first and last sequence, how many
// were lost between them, and the last place.
type lossSum struct{ from, to, count, place uint64 }

const (
	// maxLossLines is how many lines may be logged within lossLogInterval.
	maxLossLines    = 4
	lossLogInterval = 20 * time.Second
)

func (l *losses) add(why roster.Loss, from, to, place uint64) {
	if l.unlogged == nil {
		l.unlogged = make(map[roster.Loss]*lossSum)
	}
	sum := l.unlogged[why]
	if sum == nil {
		sum = &lossSum{from: from}
		l.unlogged[why] = sum
	}
	sum.from, sum.to, sum.place = min(sum.from, from), max(sum.to, to), place
	sum.count += to - from + 1
}

// logLosses logs what was lost: at the end all of it, else a few lines a minute.
func (r *reading) logLosses(end bool) {
	l := &r.losses
	if len(l.unlogged) == 0 {
		return
	}
	if time.Since(l.since) >= lossLogInterval {
		l.lines, l.since = 0, time.Now()
	}
	for _, why := range roster.AllLosses() {
		sum := l.unlogged[why]
		if sum == nil || l.lines >= maxLossLines && !end {
			continue
		}
		l.lines++
		delete(l.unlogged, why)
		r.log.Error("events are lost", "reason", why.String(), "stream", r.stream, "from", sum.from, "to", sum.to,
			"count", sum.count, "accept", acceptSetting(sum.place))
	}
}

// acceptSetting is the setting that accepts the losses up to a place.
func acceptSetting(place uint64) string { return fmt.Sprintf("ROLLCALL_ACCEPT_LOSS=%d", place) }
