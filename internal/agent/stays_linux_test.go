package agent

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/history"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// staysOf returns the stays that the service's history makes of messages, the oldest first,
// and the roster.
func staysOf(t *testing.T, messages []roster.Message) (stays []history.MachineStay, r *roster.Roster) {
	t.Helper()
	r = roster.New(roster.DefaultSettings())
	h := history.Open(history.Config{
		Dir: t.TempDir(), Roster: r, Keep: time.Duration(roster.MaxDate), MaxBytes: 1 << 30,
		CaughtUp: func() bool { return true },
		Restore:  func(uint64) (*roster.Roster, error) { return nil, nil },
		Read: func(ctx context.Context, _ roster.Position, _ func(history.Decode)) error {
			<-ctx.Done() // there is nothing but these messages
			return nil
		},
		Log: kit.Logger(t), Registry: prometheus.NewRegistry(),
	})
	defer h.Close()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); h.Run(ctx) }()
	defer func() { end(); <-ended }()
	b := roster.Batch{Messages: messages}
	if n := len(messages); n > 0 {
		b.End.Place = messages[n-1].Place
	}
	r.Fold(&b)
	h.Put(&b)
	kit.Eventually(t, func() bool {
		err := h.View(ctx, func(v *history.View) (err error) {
			stays, _, err = v.Stays(&history.Span{To: roster.MaxDate, Oldest: true, Limit: 1000})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return h.Position().Place == b.End.Place
	}, "the history is written") // it writes once it is asked
	return stays, r
}
