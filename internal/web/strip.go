package web

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/internal/api"
)

// strip is the strip of time on every page: the curve of how many were on over 24 hours,
// which is also the control that chooses a moment.
type strip struct {
	From, To time.Time
	At       time.Time // the moment shown
	Past     bool
	// Line and Area are paths of SVG in a box of stripWidth times stripHeight; empty:
	// not known.
	Line, Area string
	// Users are the numbers of the curve, separated by commas, one for each step.
	Users string
	Most  int
	Ticks []tick
	Known bool
}

// tick is a label below a line of time.
type tick struct {
	At    time.Time
	X     string // in percent
	Major bool   // the begin of a day
}

const (
	stripWidth  = 1000
	stripHeight = 100
	stripStep   = 5 * time.Minute
)

// curves are the curves that were asked for last. Each is kept for a minute.
type curves struct {
	mu   sync.Mutex
	kept []curve
}

type curve struct {
	from, to time.Time
	read     time.Time
	counts   []api.Count
}

const (
	curveAge  = time.Minute
	maxCurves = 8
)

// window returns the 24 hours that the strip shows: the last, or those around the moment
// if that is longer ago.
func (l *location) window(now time.Time) (from, to time.Time) {
	to = now
	if l.past() && l.at.Before(now.Add(-day)) {
		to = l.at.Add(day / 2).Truncate(stripStep)
		if to.After(now) {
			to = now
		}
	}
	return to.Add(-day), to
}

// strip returns the strip of time of a page.
func (p *Page) strip(ctx context.Context, l *location, now time.Time) *strip {
	from, to := l.window(now)
	s := &strip{From: from, To: to, At: l.end(now), Past: l.past(), Ticks: ticks(from, to, 2*time.Hour)}
	counts := p.curves.read(ctx, p, from, to)
	if len(counts) < 2 {
		return s
	}
	s.Known = true
	for _, c := range counts {
		s.Most = max(s.Most, c.Users)
	}
	var line, users strings.Builder
	for i, c := range counts {
		x := stripWidth * float64(c.Time.Sub(from)) / float64(to.Sub(from))
		y := stripHeight - 0.92*stripHeight*float64(c.Users)/float64(max(1, s.Most))
		fmt.Fprintf(&line, "%c%.1f %.1f", "ML"[min(i, 1)], x, y)
		if i > 0 {
			users.WriteByte(',')
		}
		users.WriteString(strconv.Itoa(c.Users))
	}
	s.Line, s.Users = line.String(), users.String()
	first := stripWidth * float64(counts[0].Time.Sub(from)) / float64(to.Sub(from))
	last := stripWidth * float64(counts[len(counts)-1].Time.Sub(from)) / float64(to.Sub(from))
	s.Area = fmt.Sprintf("%sL%.1f %dL%.1f %dz", s.Line, last, stripHeight, first, stripHeight)
	return s
}

// X returns where the moment is, in percent.
func (s *strip) X() string { return percent(s.At, s.From, s.To) }

// Minutes returns the moment as minutes since the begin of the strip.
func (s *strip) Minutes() int { return int(s.At.Sub(s.From) / time.Minute) }

// read returns the counts between two moments; nil: not known.
func (c *curves) read(ctx context.Context, p *Page, from, to time.Time) []api.Count {
	c.mu.Lock()
	for _, k := range c.kept {
		if time.Since(k.read) < curveAge && k.to.Sub(to).Abs() < curveAge {
			c.mu.Unlock()
			return k.counts
		}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*p.detailTime)
	defer cancel()
	a, err := one[api.CountsAnswer](ctx, p, "counts", api.CountsRequest{
		From: from.UTC().Format(time.RFC3339Nano), To: to.UTC().Format(time.RFC3339Nano), Step: stripStep.String(),
	})
	if err != nil {
		p.Log.Debug("the curve of users is not known", "err", err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept[max(0, len(c.kept)+1-maxCurves):], curve{from, to, time.Now(), a.Counts})
	return a.Counts
}

// usersAt returns how many users were on at a moment of a curve; false: not known.
func usersAt(counts []api.Count, at time.Time) (int, bool) {
	for i := len(counts) - 1; i >= 0; i-- {
		if !counts[i].Time.After(at) {
			return counts[i].Users, true
		}
	}
	return 0, false
}

// ticks returns the labels of a span of time, in UTC. A script redraws them in the zone
// of the viewer.
func ticks(from, to time.Time, step time.Duration) (all []tick) {
	for at := from.Truncate(step).Add(step); at.Before(to); at = at.Add(step) {
		// A label at the edge would be cut.
		if share := float64(at.Sub(from)) / float64(to.Sub(from)); share < 0.025 || share > 0.975 {
			continue
		}
		all = append(all, tick{at, percent(at, from, to), at.Equal(at.Truncate(day))})
	}
	return all
}

// tickStep returns the time between two ticks of a timeline.
func tickStep(span time.Duration) time.Duration {
	switch {
	case span > 7*day:
		return 2 * day
	case span > 2*day:
		return day
	case span > day:
		return 6 * time.Hour
	}
	return 2 * time.Hour
}

// percent returns where a time is between two others: "12.34%".
func percent(at, from, to time.Time) string {
	share := float64(at.Sub(from)) / float64(to.Sub(from))
	return strconv.FormatFloat(100*max(0, min(1, share)), 'f', 2, 64) + "%"
}
