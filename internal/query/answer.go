package query

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// head returns the head of an answer. Call it before reading the roster.
func (s *Service) head(st *roster.Status) api.Head {
	reasons := s.Reasons(st)
	h := api.Head{
		When: s.now().UTC(), Stream: s.Stream,
		Sequence: st.Position.Sequence(), Place: st.Position.Place,
		Complete: len(reasons) == 0, Reasons: reasons,
	}
	h.Unsettled, h.SettlesAfter, h.CompleteAfter = report.Unsettled(st)
	return h
}

func sessionOf(s *roster.Session) api.Session {
	return api.Session{User: s.User, ID: s.ID, Since: s.Since.Time(), Terminal: s.Terminal, Remote: s.Remote, Service: s.Service}
}

// endOfList follows the last item of an answer that is a list.
const endOfList = "]}"

// encodeList encodes an answer whose last key is a list, with as many items as
// fit in a message of maxPayload bytes. answer(cursor) returns the answer with an
// empty list and this cursor. after(n) is called once: it returns the cursor that
// continues after n items, or "" if there are no more.
func encodeList[T any](maxPayload int64, items []T, after func(n int) string, answer func(cursor string) any) ([]byte, error) {
	longest, err := json.Marshal(answer(strings.Repeat("x", maxCursor)))
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	room, err := report.PageCapacity(maxPayload, len(longest))
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

// cursorAfter returns an after function for encodeList: its cursors name the last
// item sent.
func cursorAfter[T any](items []T, of func(last *T) cursor) func(n int) string {
	return listCursor(items, func(last *T) string { return of(last).String() })
}

func listCursor[T any](items []T, of func(last *T) string) func(n int) string {
	return func(n int) string {
		if n == len(items) {
			return ""
		}
		return of(&items[n-1])
	}
}

// checkName checks a name that a request asks about.
func checkName(key, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: missing", key)
	case len(name) > maxName:
		return fmt.Errorf("%s: %d bytes, at most %d", key, len(name), maxName)
	}
	return nil
}

// checkNames checks a list of machines that a request asks about.
func checkNames(names []string) error {
	if len(names) > history.MaxMachines {
		return fmt.Errorf("names: %d machines, at most %d", len(names), history.MaxMachines)
	}
	for _, name := range names {
		if err := checkName("names", name); err != nil {
			return err
		}
	}
	return nil
}

// sortedNames returns the names in order, each once; nil if there are none.
func sortedNames(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
