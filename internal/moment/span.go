package moment

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// units are the units of spans. A day is 24 hours, whatever the clocks do.
var units = map[string]time.Duration{}

func init() {
	for names, unit := range map[string]time.Duration{
		"ns": time.Nanosecond, "us µs μs": time.Microsecond, "ms": time.Millisecond,
		"s sec secs second seconds": time.Second,
		"m min mins minute minutes": time.Minute,
		"h hr hrs hour hours":       time.Hour,
		"d day days":                wholeDay,
		"w week weeks":              7 * wholeDay,
	} {
		for name := range strings.FieldsSeq(names) {
			units[name] = unit
		}
	}
}

var errSpan = errors.New("not a span of time: use one such as 90m, 1h30m or 2d")

// ErrTooLong says that a span does not fit a [time.Duration].
var ErrTooLong = errors.New("too long: use at most 292 years, in weeks, days or smaller units")

// spanForm is a number, its fraction and its unit.
var spanForm = regexp.MustCompile(`^(\d+)(?:\.(\d+))?\s*(\pL+)\s*`)

// ParseSpan reads a span of time: numbers with the units w, d, h, m, s and those of
// [time.ParseDuration], as in "1h30m", "2 days" or "1d 12h".
func ParseSpan(text string) (time.Duration, error) {
	rest := strings.ToLower(strings.TrimSpace(text))
	var sum time.Duration
	for first := true; first || rest != ""; first = false {
		found := spanForm.FindStringSubmatch(rest)
		if found == nil {
			return 0, errSpan
		}
		unit, known := units[found[3]]
		if !known {
			return 0, errSpan
		}
		n, err := strconv.ParseInt(found[1], 10, 64)
		part := time.Duration(n)*unit + fractionOf(unit, found[2])
		//guard:false "a span that is too long is refused" TestParseSpan
		if err != nil || n > int64(math.MaxInt64/unit) || sum+part < sum {
			return 0, ErrTooLong
		}
		sum += part
		rest = rest[len(found[0]):]
	}
	return sum, nil
}

// fractionOf returns decimals of a unit, in whole nanoseconds.
func fractionOf(unit time.Duration, decimals string) (sum time.Duration) {
	for _, digit := range decimals {
		unit /= 10
		sum += time.Duration(digit-'0') * unit
	}
	return sum
}
