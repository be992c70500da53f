package history

import "testing"

// TestNameInterrupted: a look-up of a name that is interrupted is an error, and nothing is
// remembered: later questions, of any reader, get the name.
func TestNameInterrupted(t *testing.T) {
	w := filled(t, map[string]int{"web1": 1})
	look(t, w, func(v *View) error {
		for what, c := range map[string]struct {
			nameOf func(id int64) (string, error)
			want   string
		}{"machine": {v.machineName, "web1"}, "user": {v.names.userName, "lane"}} {
			if name, err := c.nameOf(99); name != "" || err != nil { // prepares the statement
				t.Errorf("%s 99: %q, %v", what, name, err)
			}
			over := make(chan struct{})
			close(over)
			v.c.SetInterrupt(over)
			if name, err := c.nameOf(1); err == nil {
				t.Errorf("%s, interrupted: %q", what, name)
			}
			v.c.SetInterrupt(nil)
			if name, err := c.nameOf(1); name != c.want || err != nil {
				t.Errorf("%s: %q, %v; want %q", what, name, err, c.want)
			}
		}
		return nil
	})
}
