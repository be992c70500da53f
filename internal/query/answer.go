package query

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// Head is what every answer begins with: how far the roster had read when the
// answer was made, and whether anything is missing from it. Every event up to
// its place is in the answer, and of those after it perhaps some.
type Head struct {
	When time.Time `json:"when"`
	// Stream is the stream of events; Sequence is in it the number of the last
	// message read, and Place the same in all ever read.
	Stream   string   `json:"stream"`
	Sequence uint64   `json:"sequence"`
	Place    uint64   `json:"place"`
	Complete bool     `json:"complete"`
	Reasons  []string `json:"reasons"`
	// Unsettled, SettlesAfter and CompleteAfter: see [report.Report].
	Unsettled     int       `json:"unsettled,omitzero"`
	SettlesAfter  time.Time `json:"settles_after,omitzero"`
	CompleteAfter time.Time `json:"complete_after,omitzero"`
}

// head begins an answer. Take it before the roster is looked at.
func (s *Service) head(st *roster.Status) Head {
	reasons := s.Reasons(st)
	h := Head{
		When: s.now().UTC(), Stream: s.Stream,
		Sequence: st.Position.Sequence(), Place: st.Position.Place,
		Complete: len(reasons) == 0, Reasons: reasons,
	}
	h.Unsettled, h.SettlesAfter, h.CompleteAfter = report.Unsettled(st)
	return h
}

func (h *Head) check() error {
	switch {
	case h.When.IsZero():
		return errors.New("no when")
	case h.Stream == "":
		return errors.New("no stream")
	}
	return nil
}

// Decode reads the JSON of an answer that has a Head. Keys that it doesn't know
// are ignored, so that an old reader understands a new service.
func Decode[A any, P request[A]](data []byte) (A, error) {
	var a A
	err := json.Unmarshal(data, &a)
	if err == nil {
		err = P(&a).check()
	}
	if err != nil {
		return a, fmt.Errorf("reading the answer: %w", err)
	}
	return a, nil
}

// Session is one open session.
type Session struct {
	User string `json:"user"`
	// ID names the session on its machine; empty: the user's implicit one.
	ID       string    `json:"session,omitzero"`
	Since    time.Time `json:"since"`
	Terminal string    `json:"terminal,omitzero"`
	Remote   string    `json:"remote,omitzero"`
	Service  string    `json:"service,omitzero"`
}

func sessionOf(s *roster.Session) Session {
	return Session{s.User, s.ID, s.Since.Time(), s.Terminal, s.Remote, s.Service}
}

// Stay is an open session and its machine.
type Stay struct {
	Machine string `json:"machine"`
	// Silent says that the machine was not heard for long: the session is the
	// last known.
	Silent bool `json:"silent,omitzero"`
	Session
}

// endOfList is what stands after the last item of an answer that is a list.
const endOfList = "]}"

// encodeList encodes an answer whose last key is a list, with as many items as
// fit into a message of at most so many bytes. answer returns it with an empty
// list and a cursor; after, which is asked once, gives the one that goes on
// after so many items, or "" when there are no more.
func encodeList[T any](maxPayload int64, items []T, after func(n int) string, answer func(cursor string) any) ([]byte, error) {
	longest, err := json.Marshal(answer(strings.Repeat("x", maxCursor)))
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	room, err := report.RoomFor(maxPayload, len(longest))
	if err != nil {
		return nil, err
	}
	var list []byte
	fit := len(items)
	for i := range items {
		item, err := json.Marshal(&items[i])
		if err != nil {
			return nil, fmt.Errorf("encoding the answer: %w", err)
		}
		if i > 0 && len(list)+len(item) > room {
			fit = i
			break
		}
		list = append(append(list, item...), ',')
	}
	b, err := json.Marshal(answer(after(fit)))
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	b = append(bytes.TrimSuffix(b, []byte(endOfList)), bytes.TrimSuffix(list, []byte(","))...)
	return append(b, endOfList...), nil
}

// cursorAfter returns the after of an encodeList whose cursors name the last
// item.
func cursorAfter[T any](items []T, of func(last *T) cursor) func(n int) string {
	return func(n int) string {
		if n == len(items) {
			return ""
		}
		return of(&items[n-1]).String()
	}
}

// checkName says what is wrong with a name that a request asks about.
func checkName(key, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: missing", key)
	case len(name) > maxName:
		return fmt.Errorf("%s: %d bytes, at most %d", key, len(name), maxName)
	}
	return nil
}
