package api

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "anything", true},
		{"*", "", true},
		{"web*", "web1", true},
		{"web*", "Web1", false},
		{"*.example.com", "a.b.example.com", true},
		{"web?", "web", false},
		{"web?", "web語", true},
		{"web[12]", "web1", true},
		{"web[12]", "web[12]", true}, // has this very name
		{"web[12]", "web[12]x", false},
		{"web[^0-9]", "web-", true},
		{"web[^0-9]", "web7", false},
		{"web[12]*", "web21", true},
		{"web[0-9]", "web7", true},
		{"web[0-9]", "web-", false},
		{"web[!0-9]", "web-", true},
		{"web[!0-9]", "web7", false},
		{"web[0-]", "web-", true},
		{"web[语語]", "web語", true},
		{"web[]]", "web]", true},
		{"web[!]]", "web]", false},
		{"web[]", "web[]", true}, // no class
		{"web[", "web[", true},
		{"web[[]12]", "web[12]", true},
		{"*[ab]", "xaxbxa", true},
		{`D\*`, `D\x`, true},
		{"*a*a*a*a*b", strings.Repeat("a", 255), false},
	} {
		if got := Matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%q, %q: %t", tt.pattern, tt.name, got)
		}
	}
}

func TestIsPattern(t *testing.T) {
	for text, want := range map[string]bool{"web1": false, "": false, "web*": true, "web?": true, "web[12]": true, "web[": false, "we]b[": false, "[]": false, "[!]": false} {
		if got := IsPattern(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestContains(t *testing.T) {
	for _, tt := range []struct {
		name, part string
		want       bool
	}{
		{"web1", "", true},
		{"WEB1.example.com", "web1", true},
		{"web1", "EB", true},
		{"web1", "web11", false},
		{"ΟΔΥΣΣΕΥΣ", "οδυσσευς", true},
		{"Straße", "strasse", false},
		{"Åsa", "åS", true},
	} {
		if got := Contains(tt.name, tt.part); got != tt.want {
			t.Errorf("%q, %q: %t", tt.name, tt.part, got)
		}
	}
}

// TestMatchesLikeRegexp: a pattern matches what the equivalent regular expression
// matches.
func TestMatchesLikeRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`([ab語.\\?*]|\[!?[ab語]+\]|\[a-b\]){1,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab語.\\]{0,10}`).Draw(t, "name")
		expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`, `\[!`, `[^`, `\[`, `[`, `\]`, `]`).Replace(regexp.QuoteMeta(pattern))
		want := pattern == name || regexp.MustCompile(`^(?s:`+expression+`)$`).MatchString(name)
		if got := Matches(pattern, name); got != want {
			t.Fatalf("%q, %q: %t, want %t", pattern, name, got, want)
		}
	})
}
