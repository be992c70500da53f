package main

import (
	"bytes"
	"testing"
)

// Pages with only the progress are not printed, and what is missing is printed at the end.
func TestReading(t *testing.T) {
	var said bytes.Buffer
	r := pastProgress{std: streams{err: &said}, command: "who"}
	for page, want := range map[string]bool{
		`{"past":{"done":false,"first":1,"read":5,"last":9}}`: false,
		`{"past":{"done":true,"first":1,"read":9,"last":9}}`:  true,
		`{"machines":[]}`: true,
	} {
		if got, err := r.addPage([]byte(page)); got != want || err != nil {
			t.Errorf("%s: %t, %v; want %t", page, got, err, want)
		}
	}
	r.printIncomplete(new(queryFlags))
	if said.Len() > 0 {
		t.Errorf("said %q", &said)
	}
	_, err := r.addPage([]byte(`{"past":{"done":true,"complete_from":"2020-01-21T08:00:00Z","unplaced":3}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.printIncomplete(&queryFlags{UTC: true})
	const want = "rollcall: who: not complete: the stream begins at 2020-01-21 08:00:00Z, sessions from before that have ended are missing\n" +
		"rollcall: who: not complete: 3 events arrived too late to be included; ask for one machine, one user or a shorter time\n"
	if said.String() != want {
		t.Errorf("said %q, want %q", &said, want)
	}
}
