package service

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

	"rollcall/internal/roster"
	"rollcall/internal/stream"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// assignedPlaces finds the places in the history, the last report and the last dead letters. After a
// crash the newest snapshot may be older than these, and messages of a recreated stream
// must not get the same places again.
type assignedPlaces struct {
	conn                 *nats.Conn
	api                  string // begins the subjects of requests to JetStream
	subjects             rollcallv1.Subjects
	reports, deadLetters string // streams
	log                  *slog.Logger
	history              stream.AssignedPlace // the zero value: there is none
}

const (
	// assignedTimeout is the time-out of each request.
	assignedTimeout = 5 * time.Second
	// lettersInFlight is the most dead letters that are in flight at a time: the one with
	// the greatest place is among the last so many in the stream.
	lettersInFlight = 32
	// greatestPlace is more messages than any stream gets. A greater place was not written
	// by rollcall.
	greatestPlace = 1 << 53
)

// places returns the places; none if there are no reports or dead letters.
func (a *assignedPlaces) places(ctx context.Context) ([]stream.AssignedPlace, error) {
	var all []stream.AssignedPlace
	if a.history.Place > 0 {
		all = append(all, a.history)
	}
	report, err := a.get(ctx, a.reports, fmt.Sprintf(`{"last_by_subj":%q}`, a.subjects.Reports()))
	if err != nil {
		return nil, err
	}
	if report != nil {
		all = appendAssigned(all, report, placeOfReport(report))
	}
	letter, err := a.get(ctx, a.deadLetters, fmt.Sprintf(`{"last_by_subj":%q}`, a.subjects.AllDeadLetters()[0]))
	for n := 1; err == nil && letter != nil; n++ {
		all = appendAssigned(all, letter, a.placeOfLetter(letter))
		sequence, bad := strconv.ParseUint(letter.Header.Get(jetstream.SequenceHeader), 10, 64)
		if bad != nil || sequence <= 1 || n == lettersInFlight {
			break
		}
		// The message before it; if that was deleted, the search ends.
		letter, err = a.get(ctx, a.deadLetters, fmt.Sprintf(`{"seq":%d}`, sequence-1))
	}
	return all, err
}

// appendAssigned appends the place in a message, with the time at which it was stored.
func appendAssigned(all []stream.AssignedPlace, m *nats.Msg, g stream.AssignedPlace) []stream.AssignedPlace {
	stored, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil || g.Place == 0 || g.Place > greatestPlace || g.Sequence > greatestPlace {
		return all
	}
	g.Stored = roster.TimeOf(stored)
	return append(all, g)
}

// get returns a message of a stream, or nil when there is none.
func (a *assignedPlaces) get(ctx context.Context, name, request string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, assignedTimeout)
	defer cancel()
	m, err := a.conn.RequestWithContext(ctx, a.api+"DIRECT.GET."+name, []byte(request))
	switch {
	case errors.Is(err, nats.ErrNoResponders): // no such stream
		return nil, nil
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(a.conn.LastError(), nats.ErrPermissionViolation):
		a.log.Warn("no permission to read the last place assigned: places may be assigned twice",
			"stream", name, "err", a.conn.LastError(), "allow", a.api+"DIRECT.GET."+name)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("getting a message of stream %s: %w", name, err)
	}
	return found(m, name)
}

// found returns what a direct get of a stream answered: a message, or nil if the stream
// has none.
func found(m *nats.Msg, name string) (*nats.Msg, error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		return m, nil
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("getting a message of stream %s: %s %s", name, status, m.Header.Get("Description"))
	}
}

// placeOfReport reads the place of a report; the zero value if it is not a report.
func placeOfReport(m *nats.Msg) stream.AssignedPlace {
	var report struct {
		Place    uint64 `json:"place"`
		Sequence uint64 `json:"sequence"`
	}
	if json.Unmarshal(m.Data, &report) != nil {
		return stream.AssignedPlace{}
	}
	return stream.AssignedPlace{Place: report.Place, Sequence: report.Sequence}
}

// placeOfLetter reads the place of a dead letter, which is in its subject; the zero value if
// it is not a dead letter.
func (a *assignedPlaces) placeOfLetter(m *nats.Msg) stream.AssignedPlace {
	rest, ok := strings.CutPrefix(m.Header.Get(jetstream.SubjectHeader), strings.TrimSuffix(a.subjects.AllDeadLetters()[0], ">"))
	digits, _, _ := strings.Cut(rest, ".")
	place, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil {
		return stream.AssignedPlace{}
	}
	sequence, err := strconv.ParseUint(m.Header.Get(rollcallv1.HeaderSequence), 10, 64)
	if err != nil {
		return stream.AssignedPlace{}
	}
	assigned := stream.AssignedPlace{Place: place, Sequence: sequence}
	if receipt, err := time.Parse(time.RFC3339Nano, m.Header.Get(rollcallv1.HeaderReceipt)); err == nil {
		assigned.Receipt = roster.TimeOf(receipt)
	}
	return assigned
}
