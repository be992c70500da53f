package history

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestPacked: open stays are remembered as they were.
func TestPacked(t *testing.T) {
	text := rapid.StringN(0, -1, 300)
	date := rapid.SampledFrom([]roster.Time{never, 0, 1, 1e18, roster.MaxDate})
	stay := rapid.Custom(func(t *rapid.T) *openStay {
		return &openStay{
			Session: roster.Session{
				ID: text.Draw(t, "id"), User: text.Draw(t, "user"), Terminal: text.Draw(t, "terminal"), Remote: text.Draw(t, "remote"), Service: text.Draw(t, "service"),
				Since: date.Draw(t, "since"),
			},
			began: date.Draw(t, "began"), reset: date.Draw(t, "reset"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		open := map[Key]*openStay{}
		for _, s := range rapid.SliceOfN(stay, 0, 5).Draw(t, "stays") {
			open[KeyOf(&s.Session)] = s
		}
		if got := pack(open).open(); !reflect.DeepEqual(got, open) {
			t.Fatalf("got %v, want %v", got, open)
		}
	})
}
