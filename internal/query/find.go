package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/history"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// findRequest asks for names that contain a text.
type findRequest struct{ api.FindRequest }

// How many names of a kind an answer has, if the request does not say, and at most.
const (
	usualNames = 20
	maxNames   = 200
)

func (q *findRequest) check() error {
	switch {
	case len(q.Text) > maxName:
		return fmt.Errorf("text: %d bytes, at most %d", len(q.Text), maxName)
	case q.Kind != "" && q.Kind != api.Machines && q.Kind != api.Users:
		return fmt.Errorf("kind: want %s or %s, or omit it", api.Machines, api.Users)
	case q.Limit != nil && (*q.Limit < 1 || *q.Limit > maxNames):
		return fmt.Errorf("limit: want 1 to %d", maxNames)
	}
	return nil
}

// findWithin is how long finding names may take to read those of the history.
const findWithin = 250 * time.Millisecond

// find answers with the names that contain a text.
func (s *Service) find(ctx context.Context, q *findRequest) ([]byte, error) {
	st := s.Roster.Status()
	a := api.FindAnswer{Head: s.head(&st), Machines: []string{}, Users: []string{}}
	machines, users := newNearest(q), newNearest(q)
	if q.Kind != api.Users {
		for v := range s.Roster.Machines("") {
			machines.add(v.Name())
		}
	}
	if q.Kind != api.Machines {
		s.Roster.Users(users.add)
	}
	a.Partial = !s.readNow(ctx, findWithin, func(v *history.View) error {
		var failed error
		if q.Kind != api.Users {
			failed = v.MachineNames(machines.add)
		}
		if q.Kind != api.Machines {
			failed = cmp.Or(failed, v.UserNames(users.add))
		}
		return failed
	})
	a.Machines, a.MoreMachines = machines.list()
	a.Users, a.MoreUsers = users.list()
	b, err := json.Marshal(&a)
	if most := s.Conn.MaxPayload(); err == nil && int64(len(b)) > most {
		err = &refusal{rollcallv1.CodeBadRequest, fmt.Sprintf("limit: the names don't fit in a message of %d bytes: ask for fewer", most)}
	}
	return b, err
}

// nearest collects the names that are nearest to a text.
type nearest struct {
	text, folded string
	most         int
	names        []near // in order
	more         bool
}

// near is a name, and how near it is to the text: 0 is nearest.
type near struct {
	rank int
	name string
}

func newNearest(q *findRequest) *nearest {
	n := &nearest{text: q.Text, folded: api.Fold(q.Text), most: usualNames}
	if q.Limit != nil {
		n.most = int(*q.Limit)
	}
	return n
}

// add adds a name if it contains the text.
func (n *nearest) add(name string) {
	rank := n.rank(name)
	if rank < 0 {
		return
	}
	at, found := slices.BinarySearchFunc(n.names, near{rank, name}, n.compare)
	switch {
	case found:
	case at == n.most:
		n.more = true
	default:
		n.more = n.more || len(n.names) == n.most
		n.names = slices.Insert(n.names[:min(len(n.names), n.most-1)], at, near{rank, strings.Clone(name)})
	}
}

// rank returns how near a name is to the text; -1 if it does not contain it.
func (n *nearest) rank(name string) int {
	folded := api.Fold(name)
	at := strings.Index(folded, n.folded)
	switch {
	case at < 0:
		return -1
	case n.text == "":
		return 0 // all are equally near
	case name == n.text:
		return 0
	case folded == n.folded:
		return 1
	case at == 0:
		return 2
	}
	for from := 0; ; {
		before, _ := utf8.DecodeLastRuneInString(folded[:at])
		if !unicode.IsLetter(before) && !unicode.IsDigit(before) {
			return 3
		}
		from = at + 1
		next := strings.Index(folded[from:], n.folded)
		if next < 0 {
			return 4
		}
		at = from + next
	}
}

// compare orders names by how near they are, then shorter ones first. Without a text, they
// are in byte order.
func (n *nearest) compare(a, b near) int {
	length := 0
	if n.text != "" {
		length = cmp.Compare(len(a.name), len(b.name))
	}
	return cmp.Or(cmp.Compare(a.rank, b.rank), length, strings.Compare(a.name, b.name))
}

// list returns the names, and whether there are more.
func (n *nearest) list() (names []string, more bool) {
	names = make([]string, len(n.names))
	for i := range n.names {
		names[i] = n.names[i].name
	}
	return names, n.more
}
