package publish

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// linesOf returns the lines of a text as they would be reported, "name:1 text".
func linesOf(t testing.TB, r io.Reader) []string {
	t.Helper()
	var got []string
	err := readLines(Input{Name: "f", Open: opened(r)}, func(l line) bool {
		text := string(l.text)
		if l.text == nil {
			text = fmt.Sprintf("(%d bytes)", l.size)
		}
		got = append(got, l.origin+" "+text)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLines(t *testing.T) {
	longest := strings.Repeat("x", rollcallv1.MaxPayload)
	tooLong := longest + "y"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"blank", "\n \t\r\n\n", nil},
		{"one", "a\n", []string{"f:1 a"}},
		{"no line feed at the end", "a\nb", []string{"f:1 a", "f:2 b"}},
		{"numbers count blank lines", "\n\na\n\nb\n", []string{"f:3 a", "f:5 b"}},
		{"only the line feed is trimmed", " a \r\n", []string{"f:1  a \r"}},
		{"longest", longest + "\n" + longest, []string{"f:1 " + longest, "f:2 " + longest}},
		{"too long by one", tooLong + "\na\n", []string{"f:1 (262145 bytes)", "f:2 a"}},
		{"much too long", strings.Repeat(tooLong, 5) + "\na\n", []string{"f:1 (1310725 bytes)", "f:2 a"}},
		{"too long at the end", "a\n" + tooLong, []string{"f:1 a", "f:2 (262145 bytes)"}},
		{"white space that is too long", strings.Repeat(" ", 300_000) + "\na", []string{"f:1 (300000 bytes)", "f:2 a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := linesOf(t, strings.NewReader(test.text)); !slices.Equal(got, test.want) {
				t.Errorf("%.80q, want %.80q", got, test.want)
			}
		})
	}
}

func TestLinesOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.StringMatching(`[a-z {}"\r]{0,20}`)).Draw(t, "lines")
		var want []string
		for i, text := range texts {
			if strings.TrimSpace(text) != "" {
				want = append(want, fmt.Sprintf("f:%d %s", i+1, text))
			}
		}
		read := 0
		text := strings.Join(texts, "\n")
		var got []string
		err := readLines(Input{Name: "f", Open: opened(iotest.HalfReader(strings.NewReader(text)))}, func(l line) bool {
			got = append(got, l.origin+" "+string(l.text))
			read += l.read
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		if rest := strings.TrimRight(text, " \r\n"); read < len(rest) || read > len(text) {
			t.Fatalf("%d bytes read of %d", read, len(text))
		}
	})
}

func TestLinesThatCannotBeRead(t *testing.T) {
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken))
	var got []string
	for l := range lines(t.Context(), []Input{
		{Name: "f", Open: opened(r)},
		{Name: "g", Open: opened(strings.NewReader("c\n"))},
	}) {
		got = append(got, fmt.Sprintf("%s %s %v", l.origin, l.text, l.err))
	}
	want := []string{"f:1 a <nil>", "f  disk on fire", "g:1 c <nil>"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A line must not change when the next one is read: it is in flight.
func TestLinesAreCopies(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader("first line\nother line\n"), 16) // less than both
	first, err := readLine(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readLine(r); err != nil {
		t.Fatal(err)
	}
	if string(first.text) != "first line" {
		t.Errorf("%q, want the first line", first.text)
	}
}

func opened(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
}
