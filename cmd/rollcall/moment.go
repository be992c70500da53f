package main

import (
	"fmt"
	"time"
)

// momentForms are the formats of a time without a zone.
var momentForms = []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"}

// moment parses the time given for a flag and formats it for a request. A time without a
// zone is in the local zone, or in UTC with --utc. No value gives "".
func (q *zoneFlags) moment(flag, value string) (string, error) {
	zone := time.Local
	if q.UTC {
		zone = time.UTC
	}
	if value == "" {
		return "", nil
	}
	t, err := parseMoment(value, zone)
	if year := t.UTC().Year(); err != nil || year < 1970 || year > 2261 {
		return "", usageError{fmt.Errorf("%s=%s: use a time from 1970 to 2261, such as 2006-01-02, 2006-01-02T15:04, 2006-01-02T15:04:05 or 2006-01-02T15:04:05Z", flag, value)}
	}
	return t.UTC().Format(time.RFC3339Nano), nil
}

func parseMoment(value string, zone *time.Location) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	for _, form := range momentForms {
		if err != nil {
			t, err = time.ParseInLocation(form, value, zone)
		}
	}
	return t, err
}
