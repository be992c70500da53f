package broker

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestComplaintsAreFew(t *testing.T) {
	c := newComplaints(quiet())
	now := time.Unix(0, 0)
	said := 0
	for range 3000 { // five minutes, ten a second
		if _, ok := c.admit("same", now); ok {
			said++
		}
		now = now.Add(100 * time.Millisecond)
	}
	if said != 5*complaintBurst {
		t.Errorf("said %d times in five minutes, want %d", said, 5*complaintBurst)
	}
	if skipped, ok := c.admit("same", now); !ok || skipped != 600-complaintBurst {
		t.Errorf("after a minute: %v, %d left out, want %d", ok, skipped, 600-complaintBurst)
	}
	if _, ok := c.admit("another", now); !ok {
		t.Error("one kind holds up another")
	}
}

func TestComplaintsTellWhatTheyLeftOut(t *testing.T) {
	log, r := logger()
	c := newComplaints(log)
	for range complaintBurst + 2 {
		c.say(slog.LevelWarn, "kind", "trouble")
	}
	if n := strings.Count(r.String(), "trouble"); n != complaintBurst {
		t.Errorf("said %d times", n)
	}
	c.kinds["kind"].since = time.Now().Add(-complaintWindow)
	c.say(slog.LevelWarn, "kind", "trouble")
	if !r.has("left_out=2") {
		t.Errorf("log doesn't tell what was left out:\n%s", r)
	}
}

func TestComplaintsForgetKinds(t *testing.T) {
	c := newComplaints(quiet())
	for i := range 3 * complaintKinds {
		c.admit(strconv.Itoa(i), time.Unix(0, 0))
	}
	if len(c.kinds) > complaintKinds {
		t.Errorf("%d kinds are remembered", len(c.kinds))
	}
}
