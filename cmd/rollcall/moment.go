package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/internal/moment"
)

// timeFlag is a moment as given. It may begin with a - and a digit: -1h.
type timeFlag string

// Decode reads the next argument as the moment, unless it is another flag.
func (f *timeFlag) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Peek()
	//guard:drop beginsLikeSpan "-1h is a time, not a flag" TestTimeFlags
	if next.IsEOL() || !next.IsValue() && !beginsLikeSpan(next.String()) {
		return errors.New(`a time is missing, such as 10:17, "yesterday 10:17", "2026-11-22 10:17" or -1h`)
	}
	*f = timeFlag(ctx.Scan.Pop().String())
	//guard:false "an empty time does not mean now" TestTimeFlags
	if *f == "" {
		return errors.New("the time is empty: leave the flag out, or give one such as now or -1h")
	}
	return nil
}

// beginsLikeSpan reports whether an argument begins with a - and a digit.
func beginsLikeSpan(text string) bool {
	return len(text) > 1 && text[0] == '-' && '0' <= text[1] && text[1] <= '9'
}

// spanFlag is a span of time.
type spanFlag time.Duration

// Decode reads the next argument as the span.
func (f *spanFlag) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Peek()
	if next.IsEOL() || !next.IsValue() && !beginsLikeSpan(next.String()) {
		return errors.New("a span of time is missing, such as 90m, 1h30m or 2d")
	}
	text := ctx.Scan.Pop().String()
	d, err := moment.ParseSpan(text)
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	if d == 0 {
		return fmt.Errorf("%q: use more than 0, such as 90m, 1h30m or 2d", text)
	}
	*f = spanFlag(d)
	return nil
}

// period returns what the time given for a flag names. A time without a zone is in the
// local zone, or in UTC with --utc. If it is the beginning of a span, until is the span's end.
func (q *zoneFlags) period(flag string, value timeFlag, until time.Time) (moment.Period, error) {
	zone := local
	if q.UTC {
		zone = time.UTC
	}
	now := time.Now()
	if until.IsZero() {
		until = now
	}
	period, err := moment.ParseBegin(string(value), now, until, zone)
	if err != nil {
		return period, usageError{fmt.Errorf("%s=%s: %w", flag, quoteUnprintable(string(value)), err)}
	}
	return period, nil
}

// end returns the time given for --at in the form of a request: the last instant of what it
// names. No value gives "".
func (q *zoneFlags) end(value timeFlag) (string, error) {
	if value == "" {
		return "", nil
	}
	period, err := q.period("--at", value, time.Time{})
	return formatted(period.Last), err
}

// span returns the times given for --from and --to in the form of a request: the first instant
// of what --from names, and the last of what --to names. No value gives "".
func (q *zoneFlags) span(from, to timeFlag) (first, last string, err error) {
	var until time.Time
	if to != "" {
		period, err := q.period("--to", to, time.Time{})
		if err != nil {
			return "", "", err
		}
		until = period.Last
		last = formatted(until)
	}
	if from != "" {
		period, err := q.period("--from", from, until)
		if err != nil {
			return "", "", err
		}
		first = formatted(period.First)
	}
	return first, last, nil
}

func formatted(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
