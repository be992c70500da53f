package publish

import "testing"

func TestTally(t *testing.T) {
	for _, test := range []struct {
		tally Tally
		want  string
	}{
		{Tally{}, "0 stored"},
		{Tally{Stored: 6}, "6 stored"},
		{Tally{Stored: 6, Refused: 1}, "6 stored, 1 refused"},
		{Tally{6, 1, 2, 3}, "6 stored, 1 refused, 2 failed, 3 without an ack"},
	} {
		if got := test.tally.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
