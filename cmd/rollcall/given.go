package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// givenPlaces finds the greatest place that the last report and the dead letters tell
// of. After a crash no snapshot may have come so far, and a new stream must not
// be given those places again.
type givenPlaces struct {
	conn                 *nats.Conn
	subjects             rollcallv1.Subjects
	reports, deadLetters string // streams
	log                  *slog.Logger
}

const (
	// givenPatience is how long each of the few questions may take.
	givenPatience = 5 * time.Second
	// lettersAtOnce is how many dead letters are stored at once: the one of the
	// greatest place is among the last so many.
	lettersAtOnce = 32
	// greatestPlace is what no stream comes to. A place beyond it is not ours.
	greatestPlace = 1 << 53
)

// place returns it, 0 where there is nothing that tells.
func (g *givenPlaces) place(ctx context.Context) (uint64, error) {
	report, err := g.get(ctx, g.reports, fmt.Sprintf(`{"last_by_subj":%q}`, g.subjects.Reports()))
	if err != nil {
		return 0, err
	}
	greatest := reportPlace(report)
	letter, err := g.get(ctx, g.deadLetters, fmt.Sprintf(`{"last_by_subj":%q}`, g.subjects.AllDeadLetters()[0]))
	for n := 1; err == nil && letter != nil; n++ {
		greatest = max(greatest, g.letterPlace(letter.Header.Get(jetstream.SubjectHeader)))
		sequence, bad := strconv.ParseUint(letter.Header.Get(jetstream.SequenceHeader), 10, 64)
		if bad != nil || sequence <= 1 || n == lettersAtOnce {
			break
		}
		// The one before it, or else nothing: then that was deleted.
		letter, err = g.get(ctx, g.deadLetters, fmt.Sprintf(`{"seq":%d}`, sequence-1))
	}
	return greatest, err
}

// get returns a message of a stream, or nil when there is none.
func (g *givenPlaces) get(ctx context.Context, stream, request string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, givenPatience)
	defer cancel()
	m, err := g.conn.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, []byte(request))
	switch {
	case errors.Is(err, nats.ErrNoResponders): // no such stream
		return nil, nil
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(g.conn.LastError(), nats.ErrPermissionViolation):
		g.log.Warn("the greatest place that was given can't be asked for: places may be given twice",
			"stream", stream, "err", g.conn.LastError(), "allow", "$JS.API.DIRECT.GET."+stream)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("getting a message of stream %s: %w", stream, err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return m, nil
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("getting a message of stream %s: %s %s", stream, status, m.Header.Get("Description"))
	}
}

// reportPlace is the place of a report; 0 if it is none.
func reportPlace(m *nats.Msg) uint64 {
	var report struct {
		Place uint64 `json:"place"`
	}
	if m == nil || json.Unmarshal(m.Data, &report) != nil || report.Place > greatestPlace {
		return 0
	}
	return report.Place
}

// letterPlace is the place that the subject of a dead letter names; 0 if it is
// no such subject.
func (g *givenPlaces) letterPlace(subject string) uint64 {
	rest, ok := strings.CutPrefix(subject, strings.TrimSuffix(g.subjects.AllDeadLetters()[0], ">"))
	digits, _, _ := strings.Cut(rest, ".")
	place, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || place > greatestPlace {
		return 0
	}
	return place
}
