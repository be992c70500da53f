package roster

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// record returns a machine's record without sessions and clearings; more replaces
// the bytes that say that there are none.
func record(name string, more ...byte) []byte {
	b := appendString(nil, name)
	b = appendTime(b, second, 0)      // newest
	b = appendTime(b, second, second) // heard
	b = append(b, 0)                  // no floor, reset, or refusal
	if more == nil {
		more = []byte{0, 0}
	}
	return append(b, more...)
}

// encoded returns an encoding at place 1 with these records and totals.
func encoded(totals [3]byte, records ...[]byte) []byte {
	b := encodeHead(Status{Position: Position{Place: 1}, Fates: Fates{Applied: 1}})
	for _, r := range records {
		b = append(binary.AppendUvarint(b, uint64(len(r))), r...)
	}
	return append(b, 0, totals[0], totals[1], totals[2])
}

// sourced returns an encoding at place 1 with these sources, and one machine.
func sourced(s sources) []byte {
	b := encodeHead(Status{Position: Position{Place: 1}, Fates: Fates{Applied: 1}, settling: settling{sources: &s}})
	r := record("a")
	return append(append(binary.AppendUvarint(b, uint64(len(r))), r...), 0, 1, 0, 0)
}

// TestRestoreRefusesInvalid: a well-formed encoding that no roster can have is
// refused, and the error says why.
func TestRestoreRefusesInvalid(t *testing.T) {
	session := func(id, user string, more ...byte) []byte {
		b := appendString(appendString(nil, id), user)
		return append(appendStamp(b, Stamp{Date: second, Place: 1}, second), more...)
	}
	clearing := func(user string) []byte {
		return appendStamp(appendString(nil, user), Stamp{Date: second, Place: 1}, second)
	}
	with := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	one := session("1", "lane", 0)
	// bounded returns a machine with the fields that the bits announce.
	bounded := func(bits byte, fields ...byte) []byte {
		b := appendTime(appendTime(appendString(nil, "a"), second, 0), second, second)
		return encoded([3]byte{1, 0, 0}, append(append(append(b, bits), fields...), 0, 0))
	}
	// An origin: name "o", date as the machine's newest, highest 9, none in older gaps,
	// none reused, and its gaps.
	origin := func(gaps ...byte) []byte { return append([]byte{1, 'o', 0, 0, 9, 0, 0}, gaps...) }
	minute := binary.AppendUvarint(nil, uint64(MinEvery))
	short := appendTime(appendString(nil, "a"), second, 0)
	for name, c := range map[string]struct {
		encoding []byte
		says     string // "": restored
	}{
		"good":                    {encoded([3]byte{2, 1, 1}, record("a"), record("b", with([]byte{1}, one, []byte{1}, clearing("lane"))...)), ""},
		"machine twice":           {encoded([3]byte{2, 0, 0}, record("a"), record("a")), "not in order of name"},
		"machines not in order":   {encoded([3]byte{2, 0, 0}, record("b"), record("a")), "not in order of name"},
		"machine without a name":  {encoded([3]byte{1, 0, 0}, record("")), "not in order of name"},
		"record too long":         {encoded([3]byte{1, 0, 0}, record("a", 0, 0, 0)), "bytes after the record"},
		"record too short":        {encoded([3]byte{1, 0, 0}, short), "unexpected EOF"},
		"name longer than record": {encoded([3]byte{1, 0, 0}, []byte{200, 'a'}), "unexpected EOF"},
		"session twice":           {encoded([3]byte{1, 2, 0}, record("a", with([]byte{2}, one, one, []byte{0})...)), "no name, or twice"},
		"session without a name":  {encoded([3]byte{1, 1, 0}, record("a", with([]byte{1}, session("", "", 0), []byte{0})...)), "no name, or twice"},
		"clearing twice":          {encoded([3]byte{1, 0, 2}, record("a", with([]byte{0, 2}, clearing("x"), clearing("x"))...)), "no name, or twice"},
		"clearing of nobody":      {encoded([3]byte{1, 0, 1}, record("a", with([]byte{0, 1}, clearing(""))...)), "no name, or twice"},
		"unknown details":         {encoded([3]byte{1, 1, 0}, record("a", with([]byte{1}, session("1", "lane", 16), []byte{0})...)), "details 0x10: unknown"},
		"unknown bounds":          {encoded([3]byte{1, 0, 0}, append(appendTime(appendTime(appendString(nil, "a"), second, 0), second, second), 128, 1)), "bounds 0x80: unknown"},
		"sources":                 {sourced(sources{list: []Source{{Name: "a", Missing: 2, Gap: 1}}, creations: []creation{{0, "x", 7, 0}, {0, "y", 1, 0}}}), ""},
		"a source twice":          {sourced(sources{list: []Source{{Name: "a"}, {Name: "a"}}}), "sources: not in the form"},
		"a creation twice":        {sourced(sources{list: []Source{{Name: "a"}}, creations: []creation{{0, "x", 7, 0}, {0, "x", 8, 0}}}), "sources: not in the form"},
		"a source without a name": {sourced(sources{list: []Source{{Name: ""}}}), "sources: not in the form"},
		"a loss in the future":    {sourced(sources{list: []Source{{Name: "a", Recreated: 2}}}), "sources: not in the form"},
		"a creation of nothing":   {sourced(sources{list: []Source{{Name: "a"}}, creations: []creation{{1, "x", 7, 0}}}), "sources: not in the form"},
		"a creation unread":       {sourced(sources{list: []Source{{Name: "a"}}, creations: []creation{{0, "x", 0, 0}}}), "sources: not in the form"},
		"too many lost":           {sourced(sources{list: []Source{{Name: "a"}}, creations: []creation{{0, "x", 1, 9}}}), "sources: not in the form"},
		"a name too long":         {sourced(sources{list: []Source{{Name: strings.Repeat("a", 2000)}}}), "sources: not in the form"},
		"a login":                 {bounded(hasChanged, 0, 0), ""},
		"a login in the future":   {bounded(hasChanged, 1, 0), "changed: after the newest date"},
		"an interval":             {bounded(hasEvery, minute...), ""},
		"too short an interval":   {bounded(hasEvery, 1), "every: out of range"},
		"too long an interval":    {bounded(hasEvery, binary.AppendUvarint(nil, uint64(MaxEvery)+1)...), "every: out of range"},
		"numbers":                 {bounded(hasNumbers, with([]byte{7, 1}, origin(2, 1, 1, 3, 0))...), ""},
		"an origin twice":         {bounded(hasNumbers, with([]byte{0, 2}, origin(0), origin(0))...), "not in the form"},
		"five origins":            {bounded(hasNumbers, 0, 5), "not in the form"},
		"a gap at 0":              {bounded(hasNumbers, with([]byte{0, 1}, origin(1, 0, 1))...), "not in the form"},
		"a gap in a gap":          {bounded(hasNumbers, with([]byte{0, 1}, origin(2, 1, 3, 0, 0))...), "not in the form"},
		"a gap at the highest":    {bounded(hasNumbers, with([]byte{0, 1}, origin(1, 9, 0))...), "not in the form"},
		"33 gaps":                 {bounded(hasNumbers, with([]byte{0, 1}, origin(33))...), "not in the form"},
		"date out of range":       {encoded([3]byte{1, 0, 0}, appendTime(appendString(nil, "a"), -second, 0)), "out of range"},
		"too few machines":        {encoded([3]byte{2, 0, 0}, record("a")), "2 machines, read 1"},
		"too few sessions":        {encoded([3]byte{1, 1, 0}, record("a")), "1 sessions, read 0"},
		"too many clearings":      {encoded([3]byte{1, 1, 0}, record("a", with([]byte{1}, one, []byte{1}, clearing("x"))...)), "0 clearings, read 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := DefaultSettings()
			_, err := Restore(bytes.NewReader(c.encoding), Encoded{EncodingVersion, s, Position{Place: 1}}, s)
			switch {
			case c.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%v, want …%s…", err, c.says)
			}
		})
	}
}

// TestRestoreRefusesWrongTotals: the fates must add up to the position, and the
// position must be the expected one.
func TestRestoreRefusesWrongTotals(t *testing.T) {
	s := DefaultSettings()
	if _, err := Restore(bytes.NewReader(encoded([3]byte{})), Encoded{EncodingVersion, s, Position{Place: 2}}, s); err == nil || !strings.Contains(err.Error(), "encoded at place 1, want 2") {
		t.Errorf("another place: %v", err)
	}
	b := append(encodeHead(Status{Position: Position{Place: 3}, Fates: Fates{Lost: 2}}), 0, 0, 0, 0)
	if _, err := Restore(bytes.NewReader(b), Encoded{EncodingVersion, s, Position{Place: 3}}, s); err == nil || !strings.Contains(err.Error(), "fates add up to 2, position is 3") {
		t.Errorf("other fates: %v", err)
	}
}

// TestRestoreVersion1: version 1 of the encoding, before machines had floors and
// limits, can still be read. Its closed registers from a present are dropped.
func TestRestoreVersion1(t *testing.T) {
	reset := Stamp{Date: second, Place: 1}
	machine := appendTime(appendString(nil, "a"), 2*second, 0)
	machine = appendTime(machine, second, 2*second) // heard
	machine = appendTime(machine, 0, 2*second)      // floor
	machine = appendStamp(machine, reset, 2*second)
	machine = append(machine, 1)
	machine = appendStamp(appendString(appendString(machine, "1"), "lane"), reset, 2*second)
	machine = append(machine, 0, 1)
	machine = appendStamp(appendString(machine, "lane"), Stamp{Date: 2 * second, Place: 2}, 2*second)
	b := binary.AppendUvarint(nil, 5)
	b = append(b, 2, 0, 0, 3)       // fates
	b = appendTime(b, 3*second, 0)  // receipt
	b = append(b, 3, 0, 0, 0, 0, 0) // losses
	b = append(binary.AppendUvarint(b, uint64(len(machine))), machine...)
	b = append(b, 0, 1, 1, 1)
	s := DefaultSettings()
	r, err := Restore(bytes.NewReader(b), Encoded{1, s, Position{Place: 5}}, s)
	if err != nil {
		t.Fatal(err)
	}
	if st := r.Status(); st.Unsettled != 1 || st.Complete() || st.CompleteAfter != Time(3*second).Add(s.AllowedLateness) || st.Sessions != 0 {
		t.Errorf("status %+v", st)
	}
	if _, there := r.RegisterCounts(); there != 1 {
		t.Errorf("%d registers, want the clearing", there)
	}
	if _, err := Restore(bytes.NewReader(b), Encoded{EncodingVersion + 1, s, Position{Place: 5}}, s); err == nil || !strings.Contains(err.Error(), "version 6") {
		t.Errorf("version 6: %v", err)
	}
}
