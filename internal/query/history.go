package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// historyRequest asks for the sessions that overlap a span of time.
type historyRequest struct {
	api.HistoryRequest
	fields fields
	digest digest
	span   history.Span
}

func (*historyRequest) aboutPast() bool { return true }

func (q *historyRequest) check() (err error) {
	if q.Machine != "" {
		err = checkName("machine", q.Machine)
	}
	if err = cmp.Or(err, checkNames(q.Names), checkGlob(q.Machines)); err != nil {
		return err
	}
	w := wanted{user: q.User, remote: q.Remote, service: q.Service, parts: q.Parts}
	if q.fields, err = w.fields(); err != nil {
		return err
	}
	if err := q.parseSpan(); err != nil {
		return err
	}
	switch {
	case q.Limit != nil && *q.Limit == 0:
		return errLimit
	case q.Order != "" && q.Order != api.Newest && q.Order != api.Oldest:
		return fmt.Errorf("order: want %s or %s", api.Newest, api.Oldest)
	//guard:false "the boots of a whole fleet are refused" TestMarks
	case q.Marks && q.Machine == "" && len(q.Names) == 0:
		return errMarks
	}
	q.span.Filter, q.span.Oldest = q.filter(), q.Order == api.Oldest
	question := q.HistoryRequest
	question.Cursor, question.Limit = "", nil
	q.digest = digestOf("history", &question)
	if q.Cursor != "" {
		q.span.After, err = q.digest.parseStay(q.Cursor)
	}
	return err
}

// parseSpan parses from and to.
func (q *historyRequest) parseSpan() (err error) {
	q.span.From, q.span.To = roster.MinDate, roster.MaxDate
	if q.From != "" {
		if q.span.From, err = parseTime("from", q.From); err != nil {
			return err
		}
	}
	if q.To != "" {
		if q.span.To, err = parseTime("to", q.To); err != nil {
			return err
		}
	}
	//guard:false "a span that ends before it begins is refused" TestHistory
	if q.span.From > q.span.To {
		return fmt.Errorf("from: %s is after to, %s", q.span.From, q.span.To)
	}
	return nil
}

// filter returns which stays are asked for.
func (q *historyRequest) filter() history.Filter {
	f := selectionOf(q.Names, q.Machines, q.Parts).filter()
	switch {
	case q.Machine == "":
	case f.Machines == nil || slices.Contains(f.Machines, q.Machine):
		f.Machines = []string{q.Machine}
	default:
		f.Machines = []string{}
	}
	if !q.Parts {
		f.User = q.User
	}
	if len(q.fields) > 0 {
		f.Accept = q.fields.match
	}
	f.Open = q.Open
	return f
}

// history answers with the sessions that overlap a span of time.
func (s *Service) history(ctx context.Context, q *historyRequest) (answer []byte, err error) {
	about := &about{machines: q.span.Filter, from: q.span.From, to: q.span.To, fleet: q.span.Machines == nil}
	err = s.view(ctx, about, func(v *history.View, head api.Head, past *api.Past) error {
		if err := s.checkKnown(v, &head, q.Machine, q.span.User); err != nil {
			return err
		}
		//guard:false "a history that begins in the future says so" TestHistoryOfTheFuture
		if now := roster.TimeOf(s.now()); q.span.From > now {
			past.At, past.Future = now.Time(), true
		}
		a := api.HistoryAnswer{Head: head, Past: past, Sessions: []api.PastStay{}}
		page, err := newStayPage(s.Conn.MaxPayload(), &a)
		if err != nil {
			return err
		}
		if err := page.addMarks(v, q, &a); err != nil {
			return err
		}
		s.Roster.Machine(q.Machine, func(v roster.View) { a.Missing = v.Missing() })
		next, err := page.fill(v, q)
		if err != nil {
			return err
		}
		a.Sessions = page.stays
		if next != nil {
			a.Cursor = q.digest.stayCursor(next)
		}
		answer, err = json.Marshal(&a)
		return err
	})
	return answer, err
}

// checkKnown refuses a question about a machine or a user that nothing was ever heard of.
// A history that lacks accepted events may not know a user yet: then nobody is refused. A
// machine that it does not know yet is in the roster, which has all machines.
func (s *Service) checkKnown(v *history.View, head *api.Head, machine, user string) error {
	if machine != "" {
		known, err := v.KnowsMachine(machine)
		if err != nil {
			return err
		}
		if !known && !s.Roster.Machine(machine, func(roster.View) {}) {
			return unknownMachine(machine)
		}
	}
	if user != "" {
		known, err := v.KnowsUser(user)
		if err != nil {
			return err
		}
		//guard:set slices.Contains(head.Reasons,behind) false "a user whose events are not written yet is not refused" TestBehind
		if !known && !s.History.Behind() && !slices.Contains(head.Reasons, behind) {
			return unknownUser(user)
		}
	}
	return nil
}

// usualStay is the usual size of a stay in an answer, by which it is estimated how many
// are to be read. pageTime is how long a page is filled: a filter may select few of many.
const (
	usualStay = 160
	pageTime  = time.Second
)

// stayPage collects as many stays as fit in a message.
type stayPage struct {
	room  int
	stays []api.PastStay
}

// newStayPage returns an empty page of an answer that has no stays yet.
func newStayPage(maxPayload int64, a *api.HistoryAnswer) (*stayPage, error) {
	head, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	room, err := report.PageCapacity(maxPayload, len(head)+len(`"cursor":"",`)+maxCursor)
	return &stayPage{room: room, stays: a.Sessions}, err
}

// fill fills the page. It returns the key to go on after; nil if there are no more.
func (p *stayPage) fill(v *history.View, q *historyRequest) (*history.StayKey, error) {
	limit, start := math.MaxInt, time.Now()
	if q.Limit != nil {
		limit = int(*q.Limit)
	}
	span := q.span
	for {
		span.Limit = min(limit-len(p.stays), max(0, p.room)/usualStay+1)
		list, next, err := v.Stays(&span)
		if err != nil {
			return nil, err
		}
		fit, err := p.add(list)
		switch {
		case err != nil:
			return nil, err
		//guard:false "a history fits in a message" TestPastInPages
		case fit < len(list):
			return keyAfter(v, span, fit)
		//guard:drop len(p.stays) "a history has no more sessions than asked for" TestHistoryLimit
		case next == nil, len(p.stays) == limit, time.Since(start) > pageTime:
			return next, nil
		}
		span.After = next
	}
}

// add adds those of the stays that fit, and returns how many do.
func (p *stayPage) add(list []history.MachineStay) (fit int, err error) {
	for i := range list {
		stay := pastStay(&list[i])
		b, err := json.Marshal(&stay)
		if err != nil {
			return i, err
		}
		if len(p.stays) > 0 && p.room < len(b)+1 {
			return i, nil
		}
		p.room -= len(b) + 1
		p.stays = append(p.stays, stay)
	}
	return len(list), nil
}

// keyAfter returns the key to go on after the first n stays of a span.
func keyAfter(v *history.View, span history.Span, n int) (*history.StayKey, error) {
	if n == 0 {
		return span.After, nil
	}
	span.Limit = n
	_, next, err := v.Stays(&span)
	return next, err
}

func pastStay(s *history.MachineStay) api.PastStay {
	stay := api.PastStay{
		Machine: s.Machine, User: s.Session.User, ID: s.Session.ID,
		Terminal: s.Session.Terminal, Remote: s.Session.Remote, Service: s.Session.Service,
		How: s.How.String(),
	}
	if stay.SinceUnknown = s.Session.Since == history.Unknown; !stay.SinceUnknown {
		stay.Since = s.Session.Since.Time()
	}
	if s.How != history.NotEnded {
		stay.Ended = s.Ended.Time()
	}
	return stay
}
