// Package wire decodes the payloads of messages into events, and encodes events,
// strictly by the contract in proto/rollcall/v1: a payload is one event and
// nothing else, or it is refused with the reason, what is wrong and where, and what to
// do. Nothing is guessed and no name is repaired: two different names never
// become one.
//
// # What is judged
//
// A payload must be well-formed as a whole. JSON: one object in valid UTF-8,
// no key twice, no key that differs from a known one only in letter case.
// Protobuf: every known field in its wire type, every string in valid UTF-8.
// Beyond that only the fields that belong to the event's type are judged: date,
// type and machine always; user, session, terminal, remote and service for
// login and logout; sessions for present. A field that does not belong to the type
// may have any JSON value and any text, like an unknown field. If the type is
// missing or unknown, only date, type and machine are judged.
//
// Null and an empty string count as absent. sessions is a list: it may be null, but
// not a string.
package wire

import (
	"bytes"
	"mime"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Decoder decodes payloads. It reuses its memory from one payload to the next, and
// is not safe for concurrent use.
type Decoder struct {
	subjects rollcallv1.Subjects
	events   string // the subject of all machines: "rollcall.events"
	machines string // the prefix of a machine's subject: "rollcall.events."

	json   jsontext.Decoder
	buffer bytes.Buffer // hands the payload to json without a copy
	draft  draft
}

// NewDecoder returns a decoder for messages on the given subjects.
func NewDecoder(subjects rollcallv1.Subjects) *Decoder {
	return &Decoder{
		subjects: subjects,
		events:   subjects.Events(),
		machines: subjects.Events() + ".",
	}
}

// Decode decodes a payload into e and returns nil, or leaves e empty and returns
// the refusal. Its reason is the first that applies to the whole message, in the
// order oversize, malformed, missing_field, unknown_type, bad_date, bad_name,
// identity. Its problem names the key, or the byte, counted from 0, where the syntax
// breaks; it has at most 200 bytes, and quotes text from outside so that it prints
// on one line.
//
// subject is the subject that the message arrived on. "" means none, as for a line
// of a file; then it is not compared with the payload. contentType is the header
// Content-Type. "" means none; then a payload that begins with "{" is JSON, and any
// other is protobuf.
//
// The event's strings point into the payload, which must not be changed while
// the event is in use. The memory of e.Sessions is reused.
func (d *Decoder) Decode(subject, contentType string, payload []byte, e *roster.Event) *roster.Refusal {
	empty(e)
	refusal := d.decode(subject, contentType, payload, e)
	if refusal != nil {
		//guard:drop "nothing of a refused payload is folded" TestRefused
		empty(e)
	}
	return refusal
}

func (d *Decoder) decode(subject, contentType string, payload []byte, e *roster.Event) *roster.Refusal {
	//guard:false "no payload above 256 KiB is decoded" TestRefused
	if len(payload) > rollcallv1.MaxPayload {
		return refuse(roster.Oversize, "send less: list fewer sessions, or leave out optional fields",
			"payload: %d bytes, at most %d", len(payload), rollcallv1.MaxPayload)
	}
	d.draft = draft{}
	if refusal := d.read(contentType, payload, e); refusal != nil {
		return refusal
	}
	if refusal := d.draft.check(e); refusal != nil {
		return refusal
	}
	return d.identify(subject, e.Machine)
}

// keptSessions is the largest capacity of e.Sessions that is kept for reuse.
const keptSessions = 1024

// empty makes e the zero event, but keeps the memory of its sessions.
func empty(e *roster.Event) {
	*e = roster.Event{Sessions: emptied(e.Sessions)}
}

// emptied returns sessions with length 0 for reuse, or nil if their capacity is
// large. It zeroes them, so that they hold no payload in memory.
func emptied(sessions []roster.Session) []roster.Session {
	if cap(sessions) > keptSessions {
		return nil
	}
	//guard:drop "no event keeps the sessions of the previous one" TestSessionsMemoryReused
	clear(sessions)
	return sessions[:0]
}

// read decodes the payload by its content type.
func (d *Decoder) read(contentType string, payload []byte, e *roster.Event) *roster.Refusal {
	switch contentType {
	case rollcallv1.ContentTypeJSON:
		return d.readJSON(payload, e)
	case rollcallv1.ContentTypeProtobuf, rollcallv1.ContentTypeXProtobuf:
		return d.readProtobuf(payload, e)
	case "":
		return d.sniff(payload, e)
	}
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == rollcallv1.ContentTypeJSON:
		return d.readJSON(payload, e)
	//guard:true "an unknown content type is not guessed at" TestRefused
	case err == nil && (media == rollcallv1.ContentTypeProtobuf || media == rollcallv1.ContentTypeXProtobuf):
		return d.readProtobuf(payload, e)
	}
	return malformed("set it to "+rollcallv1.ContentTypeJSON+" or "+rollcallv1.ContentTypeProtobuf+", or leave the header out",
		"%s: %s, which is neither JSON nor protobuf", rollcallv1.HeaderContentType, quote(contentType))
}

// sniff decodes a payload without a content type.
func (d *Decoder) sniff(payload []byte, e *roster.Event) *roster.Refusal {
	if len(payload) > 0 && payload[0] == '{' {
		return d.readJSON(payload, e)
	}
	refusal := d.readProtobuf(payload, e)
	if refusal != nil && isText(payload) {
		// The publisher meant JSON: an error of protobuf would not help.
		return malformed("begin with {, with no white space or byte-order mark before it",
			"payload: %s is neither a JSON object nor protobuf", quote(string(payload[:min(len(payload), 2*quoted)])))
	}
	return refusal
}

// identify compares the subject with the machine of the payload.
func (d *Decoder) identify(subject, machine string) *roster.Refusal {
	if subject == "" || subject == d.events {
		return nil
	}
	token, ok := strings.CutPrefix(subject, d.machines)
	if ok && token == machine && rollcallv1.EncodeMachine(machine) == token {
		return nil
	}
	named, err := d.subjects.MachineOf(subject)
	//guard:drop machine "an event is of the machine that its subject names" TestRefused
	if err == nil && named == machine {
		return nil
	}
	remedy := "publish to " + d.events + ", or to the subject of the machine that the payload names"
	if err != nil {
		return refuse(roster.Identity, remedy, "%v", err)
	}
	return refuse(roster.Identity, remedy, "machine: %s in the payload, %s in the subject", quote(machine), quote(named))
}
