package report

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"iter"
	"strconv"

	"rollcall/internal/api"
)

// minPayload is the smallest limit of a message that reports can live with: the
// head, and one machine with one user, each of the longest names, fit easily.
const minPayload = 4 << 10

// headers is what a message's own headers may take of its limit; we send none,
// JetStream and those who pass it on may add some.
const headers = 512

// RoomFor is how many bytes the machines of one message may take, if the head
// is at most that long.
func RoomFor(maxPayload int64, head int) (int, error) {
	if maxPayload < minPayload {
		return 0, fmt.Errorf("the server takes messages of %d bytes: want a max_payload of at least %d", maxPayload, minPayload)
	}
	room := int(maxPayload) - headers - head - len(End)
	if room < minPayload/2 {
		return 0, fmt.Errorf("a report's head of %d bytes leaves no room for machines in %d", head, maxPayload)
	}
	return room, nil
}

// pages are the machines of a report, page after page, in JSON.
type pages struct {
	room int    // how many bytes of machines fit on a page
	body []byte // all machines, each with a comma after it
	ends []int  // where the pages but the last end in body
	// content is of all that makes a report worth publishing again: not heard,
	// and not how the machines fall on pages.
	content hash.Hash
	scratch []byte
}

// newPages begins the pages of a report with this head, in the space of an
// earlier one's.
func newPages(head *api.Report, room int, reuse []byte) *pages {
	p := &pages{room: room, body: reuse[:0], content: sha256.New()}
	b := appendCounted(nil, head.Stream)
	b = binary.AppendUvarint(b, uint64(len(head.Reasons)))
	for _, reason := range head.Reasons {
		b = appendCounted(b, reason)
	}
	b = binary.AppendVarint(b, int64(head.Unsettled))
	b = binary.AppendVarint(b, head.CompleteAfter.UnixNano())
	p.content.Write(b)
	return p
}

// add puts a machine on the page, or where it doesn't fit any more on the next,
// or where it fits on none on as many as it needs.
func (p *pages) add(m *Row) {
	p.note(m)
	rest := *m
	for {
		body, n := rest.Append(p.body, p.room)
		//guard:drop p.room "a page fits a message" ^(TestPublishInPages|TestPagesJoined)$
		if begin := p.begin(); len(p.body) > begin && (n < len(rest.Users) || len(body)-begin > p.room) {
			p.turn()
			continue
		}
		p.body = append(body, ',')
		if n == len(rest.Users) {
			return
		}
		rest.Users = rest.Users[n:]
		p.turn()
	}
}

// begin is where the page begins in body.
func (p *pages) begin() int {
	if len(p.ends) == 0 {
		return 0
	}
	return p.ends[len(p.ends)-1]
}

// turn begins a new page.
func (p *pages) turn() { p.ends = append(p.ends, len(p.body)) }

// note adds a machine to the content. Lengths go before what they measure, so
// no two contents are the same bytes.
func (p *pages) note(m *Row) {
	b := appendCounted(p.scratch[:0], m.Name)
	b = strconv.AppendBool(strconv.AppendBool(b, m.Silent), m.Incomplete)
	b = binary.AppendUvarint(b, uint64(len(m.Users)))
	for _, user := range m.Users {
		b = appendCounted(b, user)
	}
	p.content.Write(b)
	p.scratch = b
}

func appendCounted(b []byte, s string) []byte {
	//guard:set binary.AppendUvarint(...) b "no change of a report looks like none" TestContent$
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// count is how many pages there are: at least one.
func (p *pages) count() int { return len(p.ends) + 1 }

// page returns the machines of a page, from 1, between commas.
func (p *pages) page(n int) []byte {
	from, to := 0, len(p.body)
	if n > 1 {
		from = p.ends[n-2]
	}
	if n <= len(p.ends) {
		to = p.ends[n-1]
	}
	return p.body[from:max(from, to-1)]
}

// messages yields each page's number and message, the last page first. A
// message is valid until the next.
func (p *pages) messages(head api.Report) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		var b []byte
		head.Pages = p.count()
		for head.Page = head.Pages; head.Page > 0; head.Page-- {
			b = append(AppendHead(b[:0], &head), p.page(head.Page)...)
			b = append(b, End...)
			if !yield(head.Page, b) {
				return
			}
		}
	}
}
