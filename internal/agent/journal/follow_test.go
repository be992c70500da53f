package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLongRecord: a record that is too long is left out; those around it are read.
func TestLongRecord(t *testing.T) {
	var in strings.Builder
	for i, length := range []int{10, 2 * maxLine, 10, 70_000, 200_000} {
		fmt.Fprintf(&in, `{"__CURSOR":"%d","__REALTIME_TIMESTAMP":"1000000","MESSAGE":%q}`+"\n", i, strings.Repeat("x", length))
	}
	var cursors []string
	err := readLines(strings.NewReader(in.String()), func(r Record) error {
		cursors = append(cursors, fmt.Sprint(r.Cursor, " ", len(r.Message)))
		return nil
	})
	if want := []string{"0 10", "2 10", "3 70000", "4 200000"}; err != nil || !slices.Equal(cursors, want) {
		t.Errorf("read %q, %v; want %q", cursors, err, want)
	}
}
