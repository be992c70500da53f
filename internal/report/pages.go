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

// minPayload is the smallest message limit supported: the head, and one machine
// with one user, with the longest names, fit easily.
const minPayload = 4 << 10

// headerReserve is the part of a message's limit reserved for headers. We send none;
// JetStream and forwarders of the message may add some.
const headerReserve = 512

// PageCapacity returns how many bytes the machines in one message may have, if its
// head has at most head bytes.
func PageCapacity(maxPayload int64, head int) (int, error) {
	if maxPayload < minPayload {
		return 0, fmt.Errorf("the NATS server's max_payload is %d bytes: raise it to at least %d", maxPayload, minPayload)
	}
	capacity := int(maxPayload) - headerReserve - head - len(End)
	if capacity < minPayload/2 {
		return 0, fmt.Errorf("a report's head of %d bytes leaves too little space for machines in a message of %d: raise the NATS server's max_payload", head, maxPayload)
	}
	return capacity, nil
}

// pages are the machines of a report, page after page, in JSON.
type pages struct {
	capacity int    // how many bytes of machines fit on a page
	body     []byte // all machines, each followed by a comma
	ends     []int  // where each page but the last ends in body
	// content is the hash of what must change for a report to be published again:
	// without heard, and without the division into pages.
	content hash.Hash
	scratch []byte
}

// newPages returns empty pages for a report with this head, reusing the buffer of
// an earlier one.
func newPages(head *api.Report, capacity int, reuse []byte) *pages {
	p := &pages{capacity: capacity, body: reuse[:0], content: sha256.New()}
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

// add adds a machine to the current page, or to a new one if it doesn't fit there.
// A machine larger than a page is split over several.
func (p *pages) add(m *Row) {
	p.addToContent(m)
	rest := *m
	for {
		body, n := rest.Append(p.body, p.capacity)
		//guard:drop p.capacity "a page fits a message" ^(TestPublishInPages|TestPagesJoined)$
		if begin := p.pageStart(); len(p.body) > begin && (n < len(rest.Users) || len(body)-begin > p.capacity) {
			p.newPage()
			continue
		}
		p.body = append(body, ',')
		if n == len(rest.Users) {
			return
		}
		rest.Users = rest.Users[n:]
		p.newPage()
	}
}

// pageStart returns where the current page begins in body.
func (p *pages) pageStart() int {
	if len(p.ends) == 0 {
		return 0
	}
	return p.ends[len(p.ends)-1]
}

// newPage ends the current page.
func (p *pages) newPage() { p.ends = append(p.ends, len(p.body)) }

// addToContent adds a machine to the hash. Each string and list is preceded by its
// length, so that different contents have different bytes.
func (p *pages) addToContent(m *Row) {
	b := appendCounted(p.scratch[:0], m.Name)
	b = strconv.AppendBool(strconv.AppendBool(b, m.Silent), m.Incomplete)
	b = binary.AppendUvarint(b, m.Missing)
	//guard:drop "a login that changes no user is published" TestContent$
	b = binary.AppendVarint(binary.AppendVarint(b, m.Changed.Unix()), int64(m.Changed.Nanosecond()))
	b = binary.AppendUvarint(b, uint64(len(m.Users)))
	for _, user := range m.Users {
		b = appendCounted(b, user)
	}
	p.content.Write(b)
	p.scratch = b
}

func appendCounted(b []byte, s string) []byte {
	//guard:set binary.AppendUvarint(...) b "every change of a report is detected" TestContent$
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// count returns how many pages there are: at least one.
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
