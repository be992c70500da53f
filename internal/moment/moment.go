// Package moment reads moments and spans of time as people write them:
//
//	now
//	1h ago, -1h, 1h             a span before now
//	today, yesterday, mon       a whole day
//	2026-11-22                  a whole day
//	10:17, yesterday 10:17      a whole minute
//	mon 10:17:05                a whole second
//	2026-11-22 10:17            a whole minute; T instead of the space, too
//	2026-11-22T10:17:05.5Z      an instant, in RFC 3339
//
// A text without a zone is in a given one. It names a [Period], as a table that prints
// 10:17:05 shows what happened at 10:17:05.4. A weekday is the last one that is not
// ahead, and so is a time of day without a day.
//
// The errors say what is wrong and give examples; the caller adds the value.
package moment

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Period is the time that a text names, from First to Last, both included. An instant is
// a period of one nanosecond, with First equal to Last. A period that has begun and not
// ended ends now.
type Period struct {
	First, Last time.Time
	Day         bool // the text gives no time of day
}

// errForm is the error of a text that is no moment.
var errForm = errors.New(`not a moment: use one such as now, "1h ago", 10:17, "yesterday 10:17", "mon 10:17", 2026-11-22, "2026-11-22 10:17" or 2026-11-22T10:17:05Z`)

// errRange is the error of a moment that the contract has no room for.
var errRange = errors.New("not from 1970 to 2261")

// Parse reads a moment, in the zone unless the text has its own.
func Parse(text string, now time.Time, zone *time.Location) (Period, error) {
	now = now.Round(0) // without the monotonic clock
	period, err := parse(strings.ToLower(strings.TrimSpace(text)), now, zone)
	if err != nil {
		return Period{}, err
	}
	if first, last := period.First.UTC().Year(), period.Last.UTC().Year(); first < 1970 || last > 2261 {
		return Period{}, errRange
	}
	//guard:false "a day that is not over ends now" TestParse
	if !period.First.After(now) && period.Last.After(now) {
		period.Last = now
	}
	return period, nil
}

// ParseBegin reads the beginning of a span that ends at a moment. A weekday, or a time of day
// without a day, is the last one before that end. So "from fri to mon" is always a weekend,
// and "from 23:00 to 01:00" a night, on whatever day one asks.
func ParseBegin(text string, now, end time.Time, zone *time.Location) (Period, error) {
	when, err := split(strings.ToLower(strings.TrimSpace(text)))
	//guard:false "a span of weekdays or times of day is not asked for backwards" TestParseBegin
	if err == nil && (when.day == weekday || when.day == noDay) && end.Before(now) {
		now = end
	}
	return Parse(text, now, zone)
}

func parse(text string, now time.Time, zone *time.Location) (Period, error) {
	if text == "now" {
		return instant(now), nil
	}
	if before, err := ParseSpan(ago(text)); err == nil {
		return instant(now.Add(-before)), nil
	} else if errors.Is(err, ErrTooLong) {
		return Period{}, err
	}
	when, err := split(text)
	if err != nil {
		return Period{}, err
	}
	if when.zone != nil {
		zone = when.zone
	}
	return when.period(now, zone)
}

func instant(t time.Time) Period { return Period{First: t, Last: t} }

// ago returns the span of "1h ago", "-1h" or "1h".
func ago(text string) string {
	if span, ok := strings.CutPrefix(text, "-"); ok {
		return span
	}
	return strings.TrimSuffix(text, " ago")
}

// written is a moment as written: a day, or a time of a day, or both.
type written struct {
	date    date
	weekday time.Weekday
	day     dayForm
	clock   clock
	zone    *time.Location // nil: none is written
}

// dayForm is how the day is written.
type dayForm int

const (
	noDay   dayForm = iota // the last day on which the time is not ahead
	fixed                  // a date
	today                  // today
	earlier                // yesterday
	weekday                // the last such day that is not ahead
)

// date is a day of the calendar.
type date struct {
	year  int
	month time.Month
	day   int
}

// clock is a time of day, and what it names: a second, a minute; a day if no time is
// written.
type clock struct {
	hour, minute, second, nanosecond int
	unit                             time.Duration
}

const wholeDay = 24 * time.Hour

var (
	dateForm  = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)(?:(?:t|\s+)(\S+))?$`)
	wordForm  = regexp.MustCompile(`^([a-z]+)(?:\s+(\S+))?$`)
	clockForm = regexp.MustCompile(`^(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(z|[+-]\d\d:\d\d)?$`)
)

// split reads the parts of a moment.
func split(text string) (w written, err error) {
	rest := text
	if found := dateForm.FindStringSubmatch(text); found != nil {
		w.day, w.date = fixed, date{number(found[1]), time.Month(number(found[2])), number(found[3])}
		if w.date != dateOf(w.date.at(clock{})) {
			return w, errors.New("no such day in the calendar")
		}
		rest = found[4]
	} else if found := wordForm.FindStringSubmatch(text); found != nil {
		if w.day, w.weekday, err = dayOf(found[1]); err != nil {
			return w, err
		}
		rest = found[2]
	}
	if rest == "" && w.day != noDay {
		w.clock.unit = wholeDay
		return w, nil
	}
	found := clockForm.FindStringSubmatch(rest)
	if found == nil {
		return w, errForm
	}
	w.zone = zoneOf(found[5])
	w.clock, err = clockOf(found)
	return w, err
}

// dayOf reads a word that stands for a day.
func dayOf(word string) (dayForm, time.Weekday, error) {
	switch word {
	case "today":
		return today, 0, nil
	case "yesterday":
		return earlier, 0, nil
	}
	for day := range time.Weekday(7) {
		if name := strings.ToLower(day.String()); word == name || word == name[:3] {
			return weekday, day, nil
		}
	}
	return noDay, 0, errForm
}

// clockOf reads a time of day that clockForm has matched.
func clockOf(found []string) (clock, error) {
	c := clock{number(found[1]), number(found[2]), number(found[3]), 0, time.Minute}
	if found[3] != "" {
		c.unit = time.Second
	}
	if fraction := found[4]; fraction != "" {
		c.nanosecond = number((fraction + "000000000")[:9])
		c.unit = 1
	}
	if c.hour > 23 || c.minute > 59 || c.second > 59 {
		return c, errors.New("no such time of day: use 00:00 to 23:59:59")
	}
	return c, nil
}

// zoneOf reads Z or an offset such as +01:00; "" gives nil.
func zoneOf(text string) *time.Location {
	switch text {
	case "":
		return nil
	case "z":
		return time.UTC
	}
	offset := number(text[1:3])*60*60 + number(text[4:6])*60
	if text[0] == '-' {
		offset = -offset
	}
	return time.FixedZone(strings.ToUpper(text), offset)
}

// number reads digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits) //nolint:errcheck // a regular expression matched them
	return n
}

// period returns the time that is meant.
func (w written) period(now time.Time, zone *time.Location) (Period, error) {
	day := dateOf(now.In(zone))
	switch w.day {
	case fixed:
		return w.on(w.date, zone)
	case today:
		return w.on(day, zone)
	case earlier:
		return w.on(day.minus(1), zone)
	case weekday:
		day = day.minus((int(now.In(zone).Weekday()-w.weekday) + 7) % 7)
		if w.ahead(day, now, zone) {
			day = day.minus(7)
		}
	case noDay:
		if w.ahead(day, now, zone) {
			day = day.minus(1)
		}
	}
	return w.on(day, zone)
}

// ahead reports whether the time is ahead if it is on that day.
func (w written) ahead(day date, now time.Time, zone *time.Location) bool {
	begin := day.at(w.clock)
	first := skipped(begin, zone)
	if parts := shown(begin, w.clock.unit, zone); len(parts) > 0 {
		first = []time.Time{parts[0].First}
	}
	return w.clock.unit != wholeDay && first[0].After(now)
}

// on returns the time on that day. Clocks that are set back over midnight show other days
// between the first and the last instant of a day.
func (w written) on(day date, zone *time.Location) (Period, error) {
	begin := day.at(w.clock)
	parts := shown(begin, w.clock.unit, zone)
	if len(parts) == 0 {
		return Period{}, unclear("does not exist in %s, as the clocks are set forward: give the one that you mean in UTC: %s", skipped(begin, zone), w.clock, zone)
	}
	if w.clock.unit == wholeDay {
		return Period{parts[0].First, parts[len(parts)-1].Last, true}, nil
	}
	//guard:false "a time that exists twice is refused" TestSummerTime
	if len(parts) > 1 {
		var firsts []time.Time
		for _, part := range parts {
			firsts = append(firsts, part.First)
		}
		return Period{}, unclear("exists twice in %s, as the clocks are set back: give one of the two in UTC: %s", firsts, w.clock, zone)
	}
	return parts[0], nil
}

// unclear returns the error of a time that the clocks skip, or show twice.
func unclear(how string, found []time.Time, c clock, zone *time.Location) error {
	form := time.RFC3339Nano
	if c.unit >= time.Minute {
		form = "2006-01-02T15:04Z07:00"
	}
	var in []string
	for _, t := range found {
		in = append(in, t.UTC().Format(form))
	}
	return fmt.Errorf("this time "+how, name(zone), strings.Join(in, " or "))
}

func name(zone *time.Location) string {
	if zone == time.Local {
		return "the local zone"
	}
	return zone.String()
}

func dateOf(t time.Time) date {
	year, month, day := t.Date()
	return date{year, month, day}
}

// at returns a time on the day as if the zone were UTC.
func (d date) at(c clock) time.Time {
	return time.Date(d.year, d.month, d.day, c.hour, c.minute, c.second, c.nanosecond, time.UTC)
}

func (d date) minus(days int) date { return dateOf(d.at(clock{}).AddDate(0, 0, -days)) }

// stretch is a time during which the offset of a zone is the same, in until excluded.
type stretch struct {
	from, until time.Time
	offset      time.Duration
}

// stretches returns those of two days around a time that is given as if the zone were
// UTC.
func stretches(around time.Time, zone *time.Location) (list []stretch) {
	end := around.Add(2 * wholeDay)
	for from := around.Add(-2 * wholeDay); from.Before(end); {
		_, seconds := from.In(zone).Zone()
		_, until := from.In(zone).ZoneBounds()
		if !until.After(from) || until.After(end) { // zero: for ever
			until = end
		}
		offset := time.Duration(seconds) * time.Second
		if last := len(list) - 1; last >= 0 && list[last].offset == offset { // only the name changes
			list[last].until = until.UTC()
		} else {
			list = append(list, stretch{from, until.UTC(), offset})
		}
		from = until.UTC()
	}
	return list
}

// shown returns when the clocks of a zone show a time, or a part of it. It begins at a
// time that is given as if the zone were UTC, and is as long as the unit.
func shown(begin time.Time, unit time.Duration, zone *time.Location) (parts []Period) {
	for _, s := range stretches(begin, zone) {
		first, end := begin.Add(-s.offset), begin.Add(unit-s.offset)
		if first.Before(s.from) {
			first = s.from
		}
		if s.until.Before(end) {
			end = s.until
		}
		if first.Before(end) {
			parts = append(parts, Period{First: first, Last: end.Add(-1)})
		}
	}
	return parts
}

// skipped returns the two readings of a time that the clocks of a zone skip: by the offset
// after the change, and by the one before it, which is later.
func skipped(begin time.Time, zone *time.Location) []time.Time {
	list := stretches(begin, zone)
	for i, s := range list[1:] {
		after, before := begin.Add(-s.offset), begin.Add(-list[i].offset)
		if after.Before(s.from) && !before.Before(list[i].until) {
			return []time.Time{after, before}
		}
	}
	return nil
}
