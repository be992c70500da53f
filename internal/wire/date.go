package wire

import (
	"fmt"
	"time"

	"rollcall/internal/roster"
)

// dateForm is the form of a date, for publishers.
const dateForm = "2006-01-02T15:04:05.999Z, from 1970 to 2261"

// parseDateText parses the text of a date. If it is bad, the result has a problem.
func parseDateText(text string) date {
	if text == "" {
		return date{}
	}
	at, problem := parseDate(text)
	if problem != "" {
		problem = quote(text) + ": " + problem
	}
	return date{present: true, at: at, problem: problem}
}

// What can be wrong with a date.
const (
	notADate   = "not a date in the form of RFC 3339 or 2006-01-02 15:04:05"
	noZone     = "no offset or Z after the time"
	noSuchDay  = "no such day"
	noSuchTime = "no such time of day"
	leapSecond = "leap seconds are not supported"
	longer     = "more than 9 decimals"
	outOfRange = "not from 1970 to 2261"
)

// parseDate parses a date by RFC 3339, section 5.6, with "T" and "Z" in upper
// case and at most 9 decimals, or as "2006-01-02 15:04:05" with the same
// decimals, in UTC. For any other text, and for a date outside [roster.MinDate] to
// [roster.MaxDate], it returns what is wrong. [time.Parse] is too lenient: it accepts
// a comma as the decimal point, hours of one digit and any number of decimals.
func parseDate(s string) (roster.Time, string) {
	const bare = len("2006-01-02 15:04:05")
	if len(s) < bare || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' || s[10] != 'T' && s[10] != ' ' {
		return 0, notADate
	}
	year, month, day := number(s[0:4]), number(s[5:7]), number(s[8:10])
	hour, minute, second := number(s[11:13]), number(s[14:16]), number(s[17:19])
	nanos, rest, problem := parseDecimals(s[bare:])
	offset := 0
	if problem == "" && s[10] == 'T' {
		offset, problem = parseZone(rest)
	} else if rest != "" && problem == "" {
		problem = notADate
	}
	switch {
	case min(year, month, day, hour, minute, second) < 0:
		return 0, notADate
	case problem != "":
		return 0, problem
	//guard:false "February 30 does not become March 2" TestRefused
	case month < 1 || month > 12 || day < 1 || day > daysIn(year, month):
		return 0, noSuchDay
	case second == 60:
		return 0, leapSecond
	case hour > 23 || minute > 59 || second > 59:
		return 0, noSuchTime
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return timeOf(t.Unix()-int64(offset), nanos)
}

// timeOf converts seconds since 1970, and nanoseconds from 0 to 999,999,999, to a
// time.
func timeOf(seconds int64, nanos int) (roster.Time, string) {
	const perSecond = roster.Time(time.Second)
	//guard:false "dates never overflow" TestRefused
	if seconds < int64(roster.MinDate/perSecond) || seconds > int64(roster.MaxDate/perSecond) {
		return 0, outOfRange
	}
	return roster.Time(seconds)*perSecond + roster.Time(nanos), ""
}

// parseDecimals reads the decimals that s may begin with, as nanoseconds, and
// returns what comes after.
func parseDecimals(s string) (nanos int, rest, problem string) {
	if s == "" || s[0] != '.' {
		return 0, s, ""
	}
	end := 1
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	switch {
	case end == 1:
		return 0, "", notADate
	case end > 10:
		return 0, "", longer
	}
	nanos = number(s[1:end])
	for range 10 - end {
		nanos *= 10
	}
	return nanos, s[end:], ""
}

// parseZone reads "Z" or "+01:00", as seconds east of UTC.
func parseZone(s string) (offset int, problem string) {
	switch {
	case s == "Z":
		return 0, ""
	case s == "":
		return 0, noZone
	case len(s) != len("+01:00") || s[0] != '+' && s[0] != '-' || s[3] != ':':
		return 0, notADate
	}
	hours, minutes := number(s[1:3]), number(s[4:6])
	if min(hours, minutes) < 0 || hours > 23 || minutes > 59 {
		return 0, notADate
	}
	offset = hours*3600 + minutes*60
	if s[0] == '-' {
		offset = -offset
	}
	return offset, ""
}

// number parses decimal digits. It returns −1 for anything else.
func number(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// timestamp is a google.protobuf.Timestamp as decoded.
type timestamp struct {
	present bool
	seconds int64
	nanos   int32
}

func (t timestamp) date() date {
	if !t.present {
		return date{}
	}
	at, problem := roster.Time(0), "not from 0 to 999999999 nanoseconds"
	if 0 <= t.nanos && t.nanos < int32(time.Second) {
		at, problem = timeOf(t.seconds, int(t.nanos))
	}
	if problem != "" {
		problem = fmt.Sprintf("%d seconds and %d nanoseconds: %s", t.seconds, t.nanos, problem)
	}
	return date{present: true, at: at, problem: problem}
}
