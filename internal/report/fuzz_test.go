package report

import (
	"bytes"
	"testing"

	"rollcall/internal/api"
)

// FuzzDecode: a report that was decoded, encoded and decoded again is the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"report":"r","when":"2026-11-22T21:00:00.5Z","stream":"S","sequence":6,"place":6,"complete":true,"reasons":["gap"],"page":1,"pages":2,"machines":[{"machine":"m","heard":"2026-11-22T21:00:00Z","users":["\"\\u"]}]}`))
	f.Add([]byte(`{"report":"r","when":"2026-11-22T21:00:00+01:00","stream":"S","sequence":6,"place":6,"complete":true,"reasons":[],"cursor":"YQ","machines":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := api.DecodeReport(data)
		if err != nil {
			return
		}
		once := AppendJSON(nil, &r)
		again, err := api.DecodeReport(once)
		if err != nil {
			t.Fatalf("%v: %s", err, once)
		}
		if twice := AppendJSON(nil, &again); !bytes.Equal(once, twice) {
			t.Fatalf("written as\n%s\nthen as\n%s", once, twice)
		}
	})
}
