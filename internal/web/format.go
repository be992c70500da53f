package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/api"
)

// functions are what the templates call.
var functions = template.FuncMap{
	"number": number, "plural": plural, "add": func(a, b int) int { return a + b },
	"when": when, "clock": clock, "minute": minute, "ago": ago, "before": before, "lasts": lasts,
}

// number formats a number with a thin space between thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// when is a time with its date, in UTC. A script shows it in the zone of the viewer.
func when(t time.Time) template.HTML { return timeHTML(t, "when", time.DateTime) }

// clock is a time without its date.
func clock(t time.Time) template.HTML { return timeHTML(t, "clock", time.TimeOnly) }

// minute is a time without its seconds, and without its date if that is the one of a
// moment.
func minute(t, at time.Time) template.HTML {
	if t.UTC().Format(time.DateOnly) == at.UTC().Format(time.DateOnly) {
		return timeHTML(t, "minute", "15:04")
	}
	return timeHTML(t, "minute", "2006-01-02 15:04")
}

func timeHTML(t time.Time, class, layout string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time class=%s datetime=%q>%s</time>`, class, t.Format("2006-01-02T15:04:05Z"), t.Format(layout)))
}

// ago is how long before a moment a time was: "2 min ago".
func ago(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time class=ago datetime=%q>%s ago</time>`, t.UTC().Format("2006-01-02T15:04:05Z"), spanText(now.Sub(t))))
}

// before is how long before a past moment a time was.
func before(t, then time.Time) template.HTML {
	if t.IsZero() {
		return "over a day before"
	}
	return template.HTML(spanText(then.Sub(t)) + " before")
}

// lasts is how long something that goes on lasts at a moment: "3 h 21 min".
func lasts(t, now time.Time, moves bool) template.HTML {
	if t.IsZero() {
		return "–"
	}
	if !moves {
		return template.HTML(longSpan(now.Sub(t)))
	}
	return template.HTML(fmt.Sprintf(`<time class=lasts datetime=%q>%s</time>`, t.UTC().Format("2006-01-02T15:04:05Z"), longSpan(now.Sub(t))))
}

// spanText formats a span of time in one unit: "42 min".
func spanText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, d/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	if d < 730*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%d years", d/(365*day))
}

// longSpan formats a span of time in two units: "3 h 21 min".
func longSpan(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d/time.Minute%60)
	}
	return fmt.Sprintf("%d d %02d h", d/day, d/time.Hour%24)
}

// command returns a command line for the shell: a command, its flags, and a name.
func command(verb, flags, name string) string {
	if strings.HasPrefix(name, "-") {
		return verb + flags + " -- " + shell(name)
	}
	return verb + " " + shell(name) + flags
}

// literal returns a pattern that only a name itself matches.
func literal(name string) string {
	if !api.IsPattern(name) {
		return name
	}
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(name)
}

// shell quotes a word for the shell, if it must be.
func shell(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@:,/-") == "" && !strings.HasPrefix(word, "-") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// size formats a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}
