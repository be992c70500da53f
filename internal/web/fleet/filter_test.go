package fleet

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"rollcall/internal/api"
)

// TestFilter: what each form selects.
func TestFilter(t *testing.T) {
	machine := &Machine{Machine: api.Machine{Name: "Web1.fra.example.com", Users: []string{"anna.b", "Kim Lee"}}}
	for text, want := range map[string]bool{
		"": true, "   ": true, "web": true, "WEB1.FRA": true, "db": false,
		"anna": true, "kim": true, "anna kim": true, "anna dora": false,
		"machine:web": true, "machine:anna": false, "user:anna": true, "user:web": false,
		"-db": true, "-web": false, "-user:anna": false, "-user:dora": true, "-machine:db": true,
		`"kim lee"`: true, `user:"kim lee"`: true, `"user:kim lee"`: true, `-"kim lee"`: false, `k"im l"ee`: true,
		"web -user:dora anna": true, "web -user:kim anna": false,
		"other:anna": false, // no field, but a text
		"remote:10.": false, "-remote:10.": true,
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := f.machine(machine); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestFilterOfUsers: the words select users by their names, and by those of their machines.
func TestFilterOfUsers(t *testing.T) {
	on := []string{"db7", "web1.example.com"}
	for text, want := range map[string]bool{
		"": true, "anna": true, "ANNA": true, "kim": false, "web1": true, "web1 db7": true, "web2": false,
		"user:anna": true, "user:web": false, "machine:web": true, "machine:anna": false, "-machine:web": false, "-machine:mail": true, "-anna": false,
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := f.user("Anna", on); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestFilterMistakes: each error says what is wrong.
func TestFilterMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`"`: "without a closing one", `web "anna`: "without a closing one", `a"b`: "without a closing one",
		"-": "without a text", "user:": "without a text", "-machine:": "without a text", `""`: "without a text", `web ""`: "without a text",
		strings.Repeat("x", 501): "more than 500 bytes",
		"web\xff":                "not valid UTF-8",
	} {
		if f, err := ParseFilter(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want an error with %q", text, f, err, want)
		}
	}
	if _, err := ParseFilter(strings.Repeat("x", 500)); err != nil {
		t.Error(err)
	}
}

// word is one word of a filter.
type word struct {
	not         bool
	field, text string
}

// written returns a filter's text: each word in quotes if it must be, or may be.
func written(t *rapid.T, words []word) string {
	var texts []string
	for _, w := range words {
		text := w.text
		if strings.ContainsAny(text, " \t") || rapid.Bool().Draw(t, "quoted") {
			text = `"` + text + `"`
		}
		if w.field != "" {
			text = w.field + ":" + text
		}
		if w.not {
			text = "-" + text
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, rapid.SampledFrom([]string{" ", "  ", "\t"}).Draw(t, "between"))
}

// anyWords returns some words of a filter.
func anyWords(t *rapid.T) (words []word) {
	for range rapid.IntRange(0, 3).Draw(t, "words") {
		words = append(words, word{
			rapid.Bool().Draw(t, "not"),
			rapid.SampledFrom([]string{"", "", "user", "machine", "remote"}).Draw(t, "field"),
			rapid.SampledFrom([]string{"w", "WEB", "1", "example", ".", "an", "Kim", "a b", "é", "ΣΑΣ", "'", "nothing"}).Draw(t, "text"),
		})
	}
	return words
}

// contains is what a word finds in a name.
func contains(name, text string) bool {
	fold := func(s string) string { return strings.ToLower(strings.ToUpper(s)) }
	return strings.Contains(fold(name), fold(text))
}

// FuzzFilter: no text makes reading a filter panic, and the spelling that it gives is read
// as the same filter.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		"", "web", "-web user:anna", `"a b" -"c d"`, `user:"a b"`, `a" "b`, "\t\t x", `-""`, "--x", "user:user:x", "remote:10.0. machine:é", "\xff", "a\nb", "a\u00a0b",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseFilter(text)
		if err != nil {
			return
		}
		if !utf8.ValidString(one.Text) {
			t.Errorf("%q is read as %q", text, one.Text)
		}
		again, err := ParseFilter(one.Text)
		if err != nil {
			t.Fatalf("%q is read as %q, which is refused: %v", text, one.Text, err)
		}
		if !reflect.DeepEqual(one, again) {
			t.Errorf("%q is read as %+v, and its spelling as %+v", text, one, again)
		}
		m := &Machine{Machine: api.Machine{Name: text, Users: []string{text}}}
		one.machine(m)
		one.user(text, m.Users)
	})
}
