package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/roster"
)

const wantJSON = "send one well-formed JSON object in UTF-8"

// readJSON reads one object with only white space around it.
func (d *Decoder) readJSON(payload []byte, e *roster.Event) *roster.Refusal {
	d.buffer = *bytes.NewBuffer(payload)
	d.json.Reset(&d.buffer)
	switch kind := d.json.PeekKind(); {
	case bytes.HasPrefix(payload, []byte("\uFEFF")):
		return malformed("send it without a byte-order mark", "payload: a byte-order mark before the JSON")
	//guard:false "a list or a string is not an event" TestRefused
	case kind != '{' && kind != jsontext.KindInvalid:
		return malformed(wantJSON, "payload: %s, want one object", kindName(kind))
	}
	err := d.readObject(func(key string) error { return d.readField(key, e) })
	if err != nil {
		return refuseJSON(err)
	}
	//guard:false "nothing follows the event in a payload" TestRefused
	if rest := bytes.TrimLeft(d.json.UnreadBuffer(), " \t\r\n"); len(rest) > 0 {
		start := string(rest[:min(len(rest), 2*quoted)])
		return malformed(wantJSON, "byte %d: %s after the object", len(payload)-len(rest), quote(start))
	}
	return nil
}

// readObject reads an object. For each key it calls member, which reads the
// value. The library checks that each key is a string and occurs once.
func (d *Decoder) readObject(member func(key string) error) error {
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for d.json.PeekKind() != '}' {
		raw, err := d.json.ReadValue()
		if err != nil {
			return err
		}
		if err := member(textIn(raw)); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	return err
}

// readField reads the value of a key of the event.
func (d *Decoder) readField(key string, e *roster.Event) error {
	f, err := fieldOf(key, ofEvent)
	if err != nil {
		return err
	}
	if f == fieldSessions {
		return d.readSessions(e)
	}
	raw, err := d.json.ReadValue()
	if err != nil || f == noField {
		return err
	}
	switch kind := raw.Kind(); {
	case kind == 'n':
	case f == fieldNumber:
		d.readNumber(raw, e)
	case kind != '"':
		d.draft.wrongKind(f, kind)
	case f == fieldOrigin:
		e.Origin = textIn(raw)
	case f == fieldEvery:
		e.Every, d.draft.every = parseEvery(textIn(raw))
	case f == fieldDate:
		d.draft.date = parseDateText(textIn(raw))
	case f == fieldType:
		d.draft.setType(textIn(raw))
	case f == fieldMachine:
		e.Machine = textIn(raw)
	default:
		*textOf(&e.Session, f) = textIn(raw)
	}
	return nil
}

// readNumber reads the number of an event.
func (d *Decoder) readNumber(raw jsontext.Value, e *roster.Event) {
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		d.draft.wrongKind(fieldNumber, raw.Kind())
	}
	e.Number = n
}

// parseEvery parses a duration; an empty text is none.
func parseEvery(text string) (every time.Duration, problem string) {
	if text == "" {
		return 0, ""
	}
	every, err := time.ParseDuration(text)
	if err != nil {
		return 0, quote(text) + " is not a number with a unit"
	}
	return every, ""
}

// setType sets the type by its name.
func (d *draft) setType(name string) {
	d.typ, _ = roster.ParseType(name)
	d.typeText = name
}

// readSessions reads the list of sessions.
func (d *Decoder) readSessions(e *roster.Event) error {
	if kind := d.json.PeekKind(); kind != '[' {
		if kind != 'n' {
			d.draft.wrongKind(fieldSessions, kind)
		}
		return d.json.SkipValue()
	}
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		kind := d.json.PeekKind()
		if kind == ']' {
			_, err := d.json.ReadToken()
			return err
		}
		e.Sessions = append(e.Sessions, roster.Session{})
		if err := d.readEntry(kind, i, &e.Sessions[i]); err != nil {
			return err
		}
	}
}

// readEntry reads entry i of the list, a value of the given kind.
func (d *Decoder) readEntry(kind jsontext.Kind, i int, s *roster.Session) error {
	if kind != '{' {
		d.recordEntryProblem(func() string { return fmt.Sprintf("sessions[%d]: %s, want an object", i, kindName(kind)) })
		return d.json.SkipValue()
	}
	return d.readObject(func(key string) error { return d.readDetail(key, i, s) })
}

// readDetail reads the value of a key of entry i.
func (d *Decoder) readDetail(key string, i int, s *roster.Session) error {
	f, wrong := fieldOf(key, ofEntry)
	if wrong != nil {
		d.recordEntryProblem(func() string { return fmt.Sprintf("sessions[%d]: %v", i, wrong) })
	}
	raw, err := d.json.ReadValue()
	if err != nil || f == noField {
		return err
	}
	switch kind := raw.Kind(); {
	case kind == 'n':
	case kind != '"':
		d.recordEntryProblem(func() string { return fmt.Sprintf("%s: %s, want a string", inEntry(i, f), kindName(kind)) })
	case f == fieldSince:
		s.Since = d.since(i, parseDateText(textIn(raw)))
	default:
		*textOf(s, f) = textIn(raw)
	}
	return nil
}

// recordEntryProblem records what is wrong with an entry, if it is the first
// problem. It is not returned at once, since the type may come later: for most
// types sessions is not judged.
func (d *Decoder) recordEntryProblem(problem func() string) {
	if d.draft.entryMalformed == "" {
		d.draft.entryMalformed = problem()
	}
}

// since returns the date at which entry i began, or 0 if none is given. It records
// what is wrong with the date.
func (d *Decoder) since(i int, at date) roster.Time {
	if at.problem != "" && d.draft.entryDate == "" {
		d.draft.entryDate = inEntry(i, fieldSince) + ": " + at.problem
	}
	return at.at
}

// fieldOf returns the known field that a key names, or noField. A key that differs
// from a known one only in letter case is a mistake, not a key of a newer version.
func fieldOf(key string, known fields) (field, error) {
	for f := noField + 1; f < fieldCount; f++ {
		if fieldNames[f] == key && known.has(f) {
			return f, nil
		}
	}
	for f := noField + 1; f < fieldCount; f++ {
		if known.has(f) && strings.EqualFold(fieldNames[f], key) {
			return noField, &caseError{key, f}
		}
	}
	return noField, nil
}

// caseError is a key in the wrong letter case.
type caseError struct {
	key  string
	want field
}

func (e *caseError) Error() string { return fmt.Sprintf("key %s, want %q", quote(e.key), e.want) }

// textIn returns the text of a JSON string that is known to be well-formed. The text
// is a part of the payload, or a copy if it contains an escape.
func textIn(raw jsontext.Value) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner, _ = jsontext.AppendUnquote(nil, raw)
	}
	return unsafe.String(unsafe.SliceData(inner), len(inner))
}

// refuseJSON turns an error of reading JSON into a refusal.
func refuseJSON(err error) *roster.Refusal {
	var wrongCase *caseError
	if errors.As(err, &wrongCase) {
		return malformed("write the keys in lower case", "%v", err)
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		// The library returns no syntax error for an empty or blank payload.
		return malformed(wantJSON, "payload: empty")
	}
	at, cause := syntax.ByteOffset, syntax.Err
	switch {
	case errors.Is(cause, jsontext.ErrDuplicateName):
		key := quote(syntax.JSONPointer.LastToken())
		return malformed("use each key once", "byte %d: key %s twice in one object", at, key)
	case errors.Is(cause, jsontext.ErrNonStringName):
		return malformed(wantJSON, "byte %d: a key that is not a string", at)
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return malformed("send the whole event", "byte %d: the JSON ends too early", at)
	}
	return malformed(wantJSON, "byte %d: %v", at, cause)
}
