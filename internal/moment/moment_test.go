package moment

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones with summer time, on every machine

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// parsed returns what a text names: "FIRST LAST", "INSTANT", or the error.
func parsed(text string, now time.Time, zone *time.Location) string {
	period, err := Parse(text, now, zone)
	first, last := period.First.UTC().Format(time.RFC3339Nano), period.Last.UTC().Format(time.RFC3339Nano)
	switch {
	case err != nil:
		return err.Error()
	case first == last:
		return first
	}
	return first + " " + last
}

// TestParseBegin: a span of weekdays, or of times of day, is the last one that is over, on
// whatever day one asks. Other times, such as "yesterday" and "-3h", still count from now.
func TestParseBegin(t *testing.T) {
	const hour = time.Hour
	monday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for at := range 7 * 24 * 4 {
		now := monday.Add(time.Duration(at) * 15 * time.Minute)
		for _, c := range []struct {
			from, to string
			long     time.Duration
		}{
			{"mon 10:00", "mon 12:00", 2 * hour},
			{"fri 18:00", "mon 06:00", 60 * hour},
			{"10:00", "12:00", 2 * hour},
			{"22:00", "06:00", 8 * hour},
		} {
			to, err := Parse(c.to, now, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			from, err := ParseBegin(c.from, now, to.Last, time.UTC)
			if err != nil || to.First.Sub(from.First) != c.long || to.First.After(now) {
				t.Errorf("at %v from %s to %s: %v to %v, %v", now, c.from, c.to, from.First, to.First, err)
			}
		}
		days, err := Parse("tue", now, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if from, err := ParseBegin("sat", now, days.Last, time.UTC); err != nil || days.First.Sub(from.First) != 72*hour {
			t.Errorf("at %v from sat to tue: %v to %v, %v", now, from.First, days.First, err)
		}
		for _, same := range []string{"yesterday", "today", "-3h", "2026-11-20", "now", "yesterday 10:00"} {
			want, _ := Parse(same, now, time.UTC)
			if got, err := ParseBegin(same, now, now.Add(-50*hour), time.UTC); err != nil || got != want {
				t.Errorf("at %v, %s: %v, %v, want %v", now, same, got, err, want)
			}
		}
	}
}

// TestParse: what each form means, on a Wednesday, 2026-11-25 at 10:17:30.5 in a zone
// five and a half hours ahead of UTC.
func TestParse(t *testing.T) {
	there := time.FixedZone("there", 5*60*60+30*60)
	now := time.Date(2026, 11, 25, 10, 17, 30, 5e8, there)
	const form, day, clock = "not a moment", "no such day", "no such time of day"
	for text, want := range map[string]string{
		"now":   "2026-11-25T04:47:30.5Z",
		" NOW ": "2026-11-25T04:47:30.5Z",
		"":      form, " ": form, "later": form, "-": form, "-u": form, "ago": form, "tomorrow": form,

		// Spans.
		"-1h": "2026-11-25T03:47:30.5Z", "1h": "2026-11-25T03:47:30.5Z", "1h ago": "2026-11-25T03:47:30.5Z",
		"90m": "2026-11-25T03:17:30.5Z", "-2d": "2026-11-23T04:47:30.5Z", "2 days ago": "2026-11-23T04:47:30.5Z",
		"1d 12h ago": "2026-11-23T16:47:30.5Z", "-1.5s": "2026-11-25T04:47:29Z",
		"+1h": form, "90": form, "-90": form, "1 year ago": form,
		"-60w": "2025-10-01T04:47:30.5Z", "-3000w": "not from 1970 to 2261", "-30000w": "too long",

		// Days; the one that is not over ends now.
		"today": "2026-11-24T18:30:00Z 2026-11-25T04:47:30.5Z", "Yesterday": "2026-11-23T18:30:00Z 2026-11-24T18:29:59.999999999Z",
		"2026-11-20": "2026-11-19T18:30:00Z 2026-11-20T18:29:59.999999999Z",
		"2026-11-25": "2026-11-24T18:30:00Z 2026-11-25T04:47:30.5Z",
		"2026-11-26": "2026-11-25T18:30:00Z 2026-11-26T18:29:59.999999999Z",
		"2026-11-31": day, "2026-02-29": day, "2026-13-01": day, "2026-00-10": day, "0000-00-00": day,
		"2024-02-29": "2024-02-28T18:30:00Z 2024-02-29T18:29:59.999999999Z",
		"2026-11":    form, "2026-1-2": form, "20261120": form, "2026-11-20Z": form, "2026-11-20T": form, "2026-11-20x": form,
		"1970-01-01": "not from 1970 to 2261", "1970-01-02": "1970-01-01T18:30:00Z 1970-01-02T18:29:59.999999999Z",
		"2261-12-31": "2261-12-30T18:30:00Z 2261-12-31T18:29:59.999999999Z", "2262-01-01": "not from 1970 to 2261", "9999-12-31": "not from 1970 to 2261",

		// Weekdays: the last one that is not ahead.
		"wed": "2026-11-24T18:30:00Z 2026-11-25T04:47:30.5Z", "WEDNESDAY": "2026-11-24T18:30:00Z 2026-11-25T04:47:30.5Z",
		"tue": "2026-11-23T18:30:00Z 2026-11-24T18:29:59.999999999Z", "thu": "2026-11-18T18:30:00Z 2026-11-19T18:29:59.999999999Z",
		"sat": "2026-11-20T18:30:00Z 2026-11-21T18:29:59.999999999Z", "saturday 1:02": "2026-11-20T19:32:00Z 2026-11-20T19:32:59.999999999Z",
		"wed 10:18": "2026-11-18T04:48:00Z 2026-11-18T04:48:59.999999999Z", "wed 10:17": "2026-11-25T04:47:00Z 2026-11-25T04:47:30.5Z",
		"mon 10:17": "2026-11-23T04:47:00Z 2026-11-23T04:47:59.999999999Z", "moon": form, "mo": form, "mon10:17": form, "mont10:17": form,

		// Times of day: that of yesterday if it is ahead today.
		"10:00": "2026-11-25T04:30:00Z 2026-11-25T04:30:59.999999999Z", "10:18": "2026-11-24T04:48:00Z 2026-11-24T04:48:59.999999999Z",
		"9:05": "2026-11-25T03:35:00Z 2026-11-25T03:35:59.999999999Z", "10:17": "2026-11-25T04:47:00Z 2026-11-25T04:47:30.5Z",
		"10:17:29": "2026-11-25T04:47:29Z 2026-11-25T04:47:29.999999999Z", "10:17:30.25": "2026-11-25T04:47:30.25Z",
		"4:47z": "2026-11-25T04:47:00Z 2026-11-25T04:47:30.5Z", "23:00-01:00": "2026-11-25T00:00:00Z 2026-11-25T00:00:59.999999999Z",
		"today 23:00": "2026-11-25T17:30:00Z 2026-11-25T17:30:59.999999999Z", "yesterday 10:17": "2026-11-24T04:47:00Z 2026-11-24T04:47:59.999999999Z",
		"24:00": clock, "10:60": clock, "10:00:60": clock, "10": form, "10:1": form, "10:17pm": form, "10:17 pm": form, "10:17:30.": form,

		// Both: as tables print them, as RFC 3339 has them.
		"2026-11-20 09:00": "2026-11-20T03:30:00Z 2026-11-20T03:30:59.999999999Z", "2026-11-20T09:00": "2026-11-20T03:30:00Z 2026-11-20T03:30:59.999999999Z",
		"2026-11-20 09:00:01":           "2026-11-20T03:30:01Z 2026-11-20T03:30:01.999999999Z",
		"2026-11-20 09:00:01Z":          "2026-11-20T09:00:01Z 2026-11-20T09:00:01.999999999Z",
		"2026-11-20T09:00:01.123456789": "2026-11-20T03:30:01.123456789Z", "2026-11-20T09:00:01.1234567891": form,
		"2026-11-20t09:00:01.5z": "2026-11-20T09:00:01.5Z", "2026-11-20T09:00:01.0Z": "2026-11-20T09:00:01Z",
		"2026-11-20T09:00:00-01:00": "2026-11-20T10:00:00Z 2026-11-20T10:00:00.999999999Z", "2026-11-20T09:00+05:30": "2026-11-20T03:30:00Z 2026-11-20T03:30:59.999999999Z",
		"2026-11-20T09:00 Z": form, "2026-11-20T25:00": clock,
	} {
		if got := parsed(text, now, there); !strings.HasPrefix(got, want) || strings.Contains(want, "Z") && got != want {
			t.Errorf("%q: %s; want %s", text, got, want)
		}
	}
}

// TestSummerTime: times that the clocks skip, or show twice, are refused, with both
// readings; those just beside them are not.
func TestSummerTime(t *testing.T) {
	for _, c := range []struct{ zone, text, want string }{
		{"Europe/Berlin", "2026-03-29 02:00", "this time does not exist in Europe/Berlin, as the clocks are set forward: give the one that you mean in UTC: 2026-03-29T00:00Z or 2026-03-29T01:00Z"},
		{"Europe/Berlin", "2026-03-29 02:59:59", "this time does not exist in Europe/Berlin, as the clocks are set forward: give the one that you mean in UTC: 2026-03-29T00:59:59Z or 2026-03-29T01:59:59Z"},
		{"Europe/Berlin", "2026-03-29 01:59", "2026-03-29T00:59:00Z 2026-03-29T00:59:59.999999999Z"},
		{"Europe/Berlin", "2026-03-29 03:00", "2026-03-29T01:00:00Z 2026-03-29T01:00:59.999999999Z"},
		{"Europe/Berlin", "2026-10-25 02:30", "this time exists twice in Europe/Berlin, as the clocks are set back: give one of the two in UTC: 2026-10-25T00:30Z or 2026-10-25T01:30Z"},
		{"Europe/Berlin", "2026-10-25 01:59", "2026-10-24T23:59:00Z 2026-10-24T23:59:59.999999999Z"},
		{"Europe/Berlin", "2026-10-25 03:00", "2026-10-25T02:00:00Z 2026-10-25T02:00:59.999999999Z"},
		{"Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T00:30:00Z 2026-10-25T00:30:59.999999999Z"},
		{"Europe/Berlin", "2026-10-25T02:30:00.5", "this time exists twice in Europe/Berlin, as the clocks are set back: give one of the two in UTC: 2026-10-25T00:30:00.5Z or 2026-10-25T01:30:00.5Z"},
		{"America/New_York", "2026-03-08 02:30", "this time does not exist in America/New_York, as the clocks are set forward: give the one that you mean in UTC: 2026-03-08T06:30Z or 2026-03-08T07:30Z"},
		{"America/New_York", "2026-11-01 01:30", "this time exists twice in America/New_York, as the clocks are set back: give one of the two in UTC: 2026-11-01T05:30Z or 2026-11-01T06:30Z"},
		{"Australia/Lord_Howe", "2026-10-04 02:15", "this time does not exist in Australia/Lord_Howe, as the clocks are set forward: give the one that you mean in UTC: 2026-10-03T15:15Z or 2026-10-03T15:45Z"},
		{"Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-03T15:30:00Z 2026-10-03T15:30:59.999999999Z"},
		{"Australia/Lord_Howe", "2026-04-05 01:45", "this time exists twice in Australia/Lord_Howe, as the clocks are set back: give one of the two in UTC: 2026-04-04T14:45Z or 2026-04-04T15:15Z"},
		{"Australia/Lord_Howe", "2026-04-05 01:29", "2026-04-04T14:29:00Z 2026-04-04T14:29:59.999999999Z"},
		{"America/Sao_Paulo", "2018-11-04 00:00", "this time does not exist in America/Sao_Paulo, as the clocks are set forward: give the one that you mean in UTC: 2018-11-04T02:00Z or 2018-11-04T03:00Z"},
		{"Asia/Beirut", "2026-03-29 00:30", "this time does not exist in Asia/Beirut, as the clocks are set forward: give the one that you mean in UTC: 2026-03-28T21:30Z or 2026-03-28T22:30Z"},
	} {
		if got := parsed(c.text, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), zone(t, c.zone)); got != c.want {
			t.Errorf("%s in %s: %s; want %s", c.text, c.zone, got, c.want)
		}
	}
}

// TestDaysOfZones: a day without midnight begins later; one that the clocks show in two
// parts lasts to the end of the second; one that they skip is refused.
func TestDaysOfZones(t *testing.T) {
	for _, c := range []struct{ zone, text, want string }{
		{"Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z 2026-03-29T21:59:59.999999999Z"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z 2018-11-05T01:59:59.999999999Z"},
		{"America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z 2018-02-18T02:59:59.999999999Z"},
		{"Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z 2026-03-29T20:59:59.999999999Z"},
		{"America/St_Johns", "2010-11-06", "2010-11-06T02:30:00Z 2010-11-07T03:29:59.999999999Z"},
		{"America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z 2010-11-08T03:29:59.999999999Z"},
		{"Pacific/Apia", "2011-12-30", "this time does not exist in Pacific/Apia, as the clocks are set forward: give the one that you mean in UTC: 2011-12-29T10:00Z or 2011-12-30T10:00Z"},
	} {
		if got := parsed(c.text, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), zone(t, c.zone)); got != c.want {
			t.Errorf("%s in %s: %s; want %s", c.text, c.zone, got, c.want)
		}
	}
}

// TestDaysBeforeNow: what depends on today, around changes of the clocks.
func TestDaysBeforeNow(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	after := time.Date(2026, 10, 25, 12, 0, 0, 0, berlin) // a Sunday of 25 hours
	for text, want := range map[string]string{
		"today":           "2026-10-24T22:00:00Z 2026-10-25T11:00:00Z",
		"1d ago":          "2026-10-24T11:00:00Z", // 24 hours
		"yesterday 12:00": "2026-10-24T10:00:00Z 2026-10-24T10:00:59.999999999Z",
		"02:30":           "this time exists twice", "sun 02:30": "this time exists twice", "sun 12:01": "2026-10-18T10:01:00Z 2026-10-18T10:01:59.999999999Z",
		"02:30z": "2026-10-25T02:30:00Z 2026-10-25T02:30:59.999999999Z",
	} {
		if got := parsed(text, after, berlin); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s; want %s", text, got, want)
		}
	}
	// At a quarter past one, half past two is ahead: the one of yesterday is meant.
	before := time.Date(2026, 10, 25, 1, 15, 0, 0, berlin)
	if got, want := parsed("02:30", before, berlin), "2026-10-24T00:30:00Z 2026-10-24T00:30:59.999999999Z"; got != want {
		t.Errorf("02:30 before it: %s; want %s", got, want)
	}
}

// zones have summer time, midnights that do not exist, half hours, a day that was skipped
// and an offset with seconds.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe",
	"America/St_Johns", "Pacific/Apia", "Africa/Monrovia", "Asia/Kathmandu", "Africa/Casablanca", "Antarctica/Troll",
}

// instants draws an instant, often one near a change of the clocks.
func instants(r *rapid.T, zone *time.Location) time.Time {
	t := time.Unix(rapid.Int64Range(86400*2, 2e9).Draw(r, "unix"), rapid.Int64Range(0, 1e9-1).Draw(r, "nanosecond")).UTC()
	if _, change := t.In(zone).ZoneBounds(); !change.IsZero() && change.Year() < 2200 && rapid.Bool().Draw(r, "near") {
		return change.Add(time.Duration(rapid.Int64Range(-2*86400e9, 2*86400e9).Draw(r, "from change"))).UTC()
	}
	return t
}

// step divides all changes of the clocks in the zones of the tests.
const step = 30 * time.Second

// seen returns the first and the last step at which the clocks show a text, and how many
// separate times they do.
func seen(text, form string, around time.Time, zone *time.Location) (first, last time.Time, times int) {
	showing := false
	for t := around.Truncate(time.Minute).Add(-75 * time.Hour); t.Before(around.Add(75 * time.Hour)); t = t.Add(step) {
		shows := t.In(zone).Format(form) == text
		if shows && !showing {
			times++
		}
		if showing = shows; !shows {
			continue
		}
		if first.IsZero() {
			first = t
		}
		last = t
	}
	return first, last.Add(step - 1), times
}

// TestShown: a day or a minute is what the clocks show, found by looking at them all the
// time. A minute that they show never, or twice, is refused.
func TestShown(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := zone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		at := instants(r, zone)
		wall := at.In(zone)
		text := wall.Format("2006-01-02 15:04")
		if rapid.Bool().Draw(r, "any") { // one that may not exist
			_, offset := wall.Add(-24 * time.Hour).Zone()
			text = at.Add(time.Duration(offset) * time.Second).Format("2006-01-02 15:04")
		}
		now := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		first, last, times := seen(text, "2006-01-02 15:04", at, zone)
		period, err := Parse(text, now, zone)
		switch {
		case (err == nil) != (times == 1):
			r.Fatalf("%s in %v is shown %d times: %v", text, zone, times, err)
		case err == nil && (!period.First.Equal(first) || !period.Last.Equal(last)):
			r.Fatalf("%s in %v: %v, want %v to %v", text, zone, period, first, last)
		}
		day := text[:len(time.DateOnly)]
		first, last, times = seen(day, time.DateOnly, at, zone)
		period, err = Parse(day, now, zone)
		switch {
		case (err == nil) != (times > 0):
			r.Fatalf("%s in %v is shown %d times: %v", day, zone, times, err)
		case err == nil && (!period.First.Equal(first) || !period.Last.Equal(last)):
			r.Fatalf("%s in %v: %v, want %v to %v", day, zone, period, first, last)
		}
	})
}

// TestPrinted: a time as the tables print it names what happened then.
func TestPrinted(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := zone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		at := instants(r, zone)
		now := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		form := rapid.SampledFrom([]string{"2006-01-02 15:04:05Z", time.RFC3339, time.RFC3339Nano, time.DateTime, "2006-01-02T15:04"}).Draw(r, "form")
		text := at.Format(form)
		if form == time.DateTime || strings.HasSuffix(form, "04") {
			text = at.In(zone).Format(form)
		}
		period, err := Parse(text, now, zone)
		if err == nil && (period.First.After(at) || period.Last.Before(at)) {
			r.Fatalf("%s in %v: %v, without %v", text, zone, period, at)
		}
		if err != nil && (!strings.Contains(err.Error(), "exists twice") || strings.HasSuffix(text, "Z")) {
			r.Fatalf("%s in %v: %v", text, zone, err)
		}
	})
}

// TestLast: a weekday and a time of day, or the time alone, are the last ones that are not
// ahead.
func TestLast(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := zone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		now := instants(r, zone).Add(8 * 24 * time.Hour)
		form := rapid.SampledFrom([]string{"Mon 15:04", "15:04"}).Draw(r, "form")
		text := now.Add(time.Duration(rapid.Int64Range(-7*86400, 7*86400).Draw(r, "seconds")) * time.Second).In(zone).Format(form)
		period, err := Parse(text, now, zone)
		if err != nil {
			if !strings.Contains(err.Error(), "in UTC: ") {
				r.Fatalf("%s at %v in %v: %v", text, now, zone, err)
			}
			return
		}
		if period.First.After(now) || period.First.In(zone).Format(form) != text {
			r.Fatalf("%s at %v in %v: %v", text, now, zone, period)
		}
		for later := period.Last.Add(1); !later.After(now); later = later.Add(step) {
			if later.In(zone).Format(form) == text {
				r.Fatalf("%s at %v in %v: %v, but there is %v", text, now, zone, period, later)
			}
		}
	})
}

// FuzzParse: any text is either refused, or read as a period within the range of dates that
// the contract allows. Upper and lower case make no difference, and errors do not repeat the
// text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"now", "-1h", "1h 30m ago", "2 days ago", "today", "yesterday 10:17", "mon", "mon 10:17:05", "10:00", "4:47z",
		"2026-11-22", "2026-11-22 21:10", "2026-11-22T21:10:05.123456789+01:00", "2026-02-30", "2011-12-30", "2018-11-04 00:30",
		"9999999999999999999w", "-\xff", "１０:00", "2026-11-22t", "24:00",
	} {
		f.Add(text, int64(1795601850), uint8(len(text)))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64, pick uint8) {
		zone, now := zone(t, zones[int(pick)%len(zones)]), time.Unix(unix%4e9, 0)
		period, err := Parse(text, now, zone)
		if _, upper := Parse(strings.ToUpper(text), now, zone); isASCII(text) && (upper == nil) != (err == nil) {
			t.Errorf("%q: %v, in upper case %v", text, err, upper)
		}
		if err != nil {
			return
		}
		if period.Last.Before(period.First) || period.First.Unix() < 0 || period.Last.UTC().Year() > 2261 {
			t.Errorf("%q: %v", text, period)
		}
	})
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
}
