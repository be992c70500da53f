package roster

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPacked: packing is lossless.
func TestPacked(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "1", "pts/0", string(make([]byte, 127)), string(make([]byte, 128)), string(make([]byte, 255))})
	rapid.Check(t, func(t *rapid.T) {
		want := Session{
			ID: text.Draw(t, "id"), Since: Time(rapid.SampledFrom([]int64{0, 1, second, int64(MaxDate)}).Draw(t, "since")),
			Terminal: text.Draw(t, "terminal"), Remote: text.Draw(t, "remote"), Service: text.Draw(t, "service"),
		}
		a := newPacked(appendPacked(nil, &want))
		var got Session
		a.fill(&got)
		if got != want || a.isImplicit() != (want.ID == "") {
			t.Fatalf("%+v, want %+v", got, want)
		}
		if (a.bytes == nil) != (want == Session{}) {
			t.Fatalf("%+v takes memory: %v", want, a.bytes != nil)
		}
	})
}
