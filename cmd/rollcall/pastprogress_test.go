package main

import (
	"bytes"
	"testing"
)

// Pages that only say how far the service has read are not printed, and what is
// missing is told at the end.
func TestReading(t *testing.T) {
	var said bytes.Buffer
	r := pastProgress{std: streams{err: &said}, command: "who"}
	for page, want := range map[string]bool{
		`{"past":{"done":false,"first":1,"read":5,"last":9}}`: false,
		`{"past":{"done":true,"first":1,"read":9,"last":9}}`:  true,
		`{"machines":[]}`: true,
	} {
		if got, err := r.note([]byte(page)); got != want || err != nil {
			t.Errorf("%s: %t, %v; want %t", page, got, err, want)
		}
	}
	r.tell(new(queryFlags))
	if said.Len() > 0 {
		t.Errorf("said %q", &said)
	}
	_, err := r.note([]byte(`{"past":{"done":true,"complete_from":"2020-01-21T08:00:00Z","unplaced":3}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.tell(&queryFlags{UTC: true})
	const want = "rollcall: who: not complete: the stream begins at 2020-01-21 08:00:00Z, and who came before and has left since is missing\n" +
		"rollcall: who: not complete: 3 events came too late for the memory of the question; ask for one machine, one user or a shorter time\n"
	if said.String() != want {
		t.Errorf("said %q, want %q", &said, want)
	}
}
