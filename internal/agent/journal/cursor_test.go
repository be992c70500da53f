package journal

import "testing"

// TestIsSame: a record is the same in another file, where another number counts it.
func TestIsSame(t *testing.T) {
	const record = "b=5b2a;m=2f0f1b;t=6449f1;x=d5a1"
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"s=1a;i=7;" + record, "s=1a;i=7;" + record, true},
		{"s=1a;i=7;" + record, "s=2b;i=1;" + record, true},
		{"s=1a;i=7;" + record, "s=1a;i=8;b=5b2a;m=2f0f1c;t=6449f2;x=d5a2", false},
		{"s=1a;i=7;" + record, "", false},
		{"s=1a", "s=2b", false},
	} {
		if IsSame(c.a, c.b) != c.same {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.same)
		}
	}
}
