package changes

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/api"
)

// encode encodes a change. If that has more than maxBytes, it is encoded without
// users.
func encode(c *api.Change, maxBytes int) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil || len(data) <= maxBytes {
		return data, err
	}
	c.Came, c.Left, c.Users, c.Large = nil, nil, nil, true
	return json.Marshal(c)
}

// maxBeatHead is more than the bytes of a beat without names.
const maxBeatHead = 512

// pagesOf splits a beat into messages that have at most maxBytes each.
func pagesOf(b api.Beat, maxBytes int) (pages []api.Beat) {
	head := b
	head.Silent, head.Heard, head.Gone, head.More = nil, nil, nil, true
	page, empty, room := head, true, maxBytes-maxBeatHead
	var quoted []byte
	for i, names := range [][]string{b.Silent, b.Heard, b.Gone} {
		from := 0
		for to, name := range names {
			quoted, _ = jsontext.AppendQuote(quoted[:0], name)
			size := len(quoted) + len(",")
			//guard:false "a beat fits in messages" TestBeatInPages
			if room -= size; room < 0 && !empty {
				*listsOf(&page)[i] = names[from:to]
				pages, page = append(pages, page), head
				from, room = to, maxBytes-maxBeatHead-size
			}
			empty = false
		}
		*listsOf(&page)[i] = names[from:]
	}
	page.More = false
	return append(pages, page)
}

// listsOf returns the lists of a beat.
func listsOf(b *api.Beat) [3]*[]string { return [...]*[]string{&b.Silent, &b.Heard, &b.Gone} }
