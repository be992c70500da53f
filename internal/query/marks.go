package query

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/history"
)

var errMarks = errors.New("marks: set machine or names, too: boots are told of at most 300 machines")

// mostMarks is how many boots and shutdowns an answer has at most; they take at most
// one part in marksShare of what has room in a message.
const (
	mostMarks  = 1000
	marksShare = 4
)

// addMarks adds the marks to the first page of an answer, if they were asked for.
func (p *stayPage) addMarks(v *history.View, q *historyRequest, a *api.HistoryAnswer) error {
	//guard:drop Cursor "boots are on the first page only" TestMarks
	if !q.Marks || q.Cursor != "" {
		return nil
	}
	list, more, err := v.Marks(&q.span.Filter, q.span.From, q.span.To, mostMarks)
	if err != nil {
		return err
	}
	a.MoreMarks = more
	room := p.room / marksShare
	for i := range list {
		mark := api.Mark{Machine: list[i].Machine, Time: list[i].Date.Time(), Kind: list[i].Type.String()}
		b, err := json.Marshal(&mark)
		if err != nil {
			return err
		}
		//guard:false "the boots of an answer leave room for its sessions" TestMarksInAMessage
		if room -= len(b) + 1; room < 0 {
			a.MoreMarks = true
			break
		}
		p.room -= len(b) + 1
		a.Marks = append(a.Marks, mark)
	}
	p.room -= len(`"marks":[],"more_marks":true,`)
	if q.span.Oldest {
		slices.Reverse(a.Marks)
	}
	return nil
}
