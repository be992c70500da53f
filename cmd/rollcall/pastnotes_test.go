package main

import (
	"bytes"
	"testing"
)

// TestPastNotes: an answer about the past says what it lacks, in words.
func TestPastNotes(t *testing.T) {
	for page, want := range map[string]string{
		`{"reasons":[],"past":{}}`: "",
		`{"reasons":[],"past":{"at":"2020-01-21T08:00:00Z","future":true}}`:        "that time lies ahead; this is the answer of now, 2020-01-21 08:00:00Z\n",
		`{"reasons":["not_retained"],"past":{"kept_from":"2020-01-21T08:00:00Z"}}`: "not complete: the history begins at 2020-01-21 08:00:00Z; sessions that ended before are missing\n",
		`{"reasons":["deleted","late"],"past":{"machines_incomplete":1,"gaps":[` +
			`{"machine":"web1","from":"2020-01-21T08:00:00Z","until":"2020-01-21T09:00:00Z","reason":"deleted"},` +
			`{"machine":"web1","from":"2020-01-21T10:00:00Z","reason":"late"}]}}`: "not complete: sessions may be missing on web1 from 2020-01-21 08:00:00Z to 2020-01-21 09:00:00Z (deleted), web1 from 2020-01-21 10:00:00Z (late)\n",
		`{"reasons":["gap"],"past":{"machines_incomplete":4,"gaps":[` +
			`{"machine":"a","from":"1970-01-01T00:00:00Z","reason":"gap"},{"machine":"b\u202e","from":"1970-01-01T00:00:00Z","until":"2020-01-21T09:00:00Z","reason":"gap"},` +
			`{"machine":"c","from":"1970-01-01T00:00:00Z","reason":"gap"},{"machine":"d","from":"1970-01-01T00:00:00Z","reason":"gap"}]}}`: "not complete: sessions may be missing on a (gap), b� to 2020-01-21 09:00:00Z (gap), c (gap), and on 1 more machine\n",
		`{"reasons":["gap"],"past":{"machines_incomplete":4}}`: "not complete: sessions may be missing on 4 machines\n",
		`{"reasons":["truncated"],"past":{}}`:                  "not complete (truncated): machines not heard from by then may be missing\n",
		`{"reasons":["behind","stale"],"past":{}}`:             "not complete: the history is behind, the newest events are missing; see rollcall status\nnot complete: the state of the stream of events is unknown: recent events may be missing\n",
	} {
		var missing incompleteness
		if err := missing.add([]byte(page)); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		missing.print(streams{err: &said}, "who", &zoneFlags{UTC: true})
		if got := string(bytes.ReplaceAll(said.Bytes(), []byte("rollcall: who: "), nil)); got != want {
			t.Errorf("%s: said\n%swant\n%s", page, got, want)
		}
	}
}
