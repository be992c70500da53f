package history

import (
	"fmt"
	"path/filepath"
	"testing"

	"rollcall/internal/roster"
)

// TestEqualKeys: stays whose keys another one has are all kept, wherever they are among
// those that one statement inserts.
func TestEqualKeys(t *testing.T) {
	c, err := openWriter(filepath.Join(t.TempDir(), FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := openEnded(c)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, dates := range [][]int{{5, 20, 31, 32, 40}, upTo(100), {5}, upTo(7), upTo(100)} {
		for _, date := range dates {
			if err := e.add(endedRow{endedKey: endedKey{since: minute * roster.Time(date), machine: 1}, user: 1, session: fmt.Sprint(total)}); err != nil {
				t.Fatal(err)
			}
			total++
		}
		if err := e.flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"ended", "(select distinct session from ended)", "by_user0", "by_machine0"} {
		if n, err := number(c, "select count(*) from "+from); err != nil || int(n) != total {
			t.Errorf("%d rows of %s, want %d: %v", n, from, total, err)
		}
	}
}

// upTo returns the numbers below n.
func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}
