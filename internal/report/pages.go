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

// minPayload is the smallest message limit that reports work with: the head, and
// one machine with one user, each with the longest names, fit easily.
const minPayload = 4 << 10

// headers is the part of a message's limit reserved for headers. We send none;
// JetStream and those who forward the message may add some.
const headers = 512

// RoomFor is how many bytes the machines of one message may take, if its head has
// at most so many bytes.
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
	body []byte // all machines, each followed by a comma
	ends []int  // where each page but the last ends in body
	// content is the hash of all that makes a report worth publishing again: not
	// of heard, and not of how the machines are split into pages.
	content hash.Hash
	scratch []byte
}

// newPages begins the pages of a report with this head, reusing the space of an
// earlier one.
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

// add adds a machine to the current page, or to the next one if it doesn't fit
// any more. A machine that fits on no page is split over as many as it needs.
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

// note adds a machine to the content. Lengths precede what they measure, so
// different contents are different bytes.
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

// page returns the machines of a page, numbered from 1, separated by commas.
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
