// Package rollcallv1 is rollcall's wire contract, beside the messages of
// rollcall.proto: the names of subjects, streams and headers, and how a
// machine's name is spelt in a subject. What protoc-gen-go makes of the messages
// is in rollcallpb, so that programs which need only the names are small.
package rollcallv1

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The default names of the base of all subjects and of the streams.
const (
	DefaultSubject           = "rollcall"
	DefaultEventsStream      = "ROLLCALL_EVENTS"
	DefaultReportsStream     = "ROLLCALL_REPORTS"
	DefaultDeadLettersStream = "ROLLCALL_DEADLETTERS"
)

// MaxPayload is the size of the largest event in bytes.
const MaxPayload = 256 << 10

// MaxMessage is the size of the largest message that a stream of events need
// take: the largest event, and headers.
const MaxMessage = MaxPayload + 4<<10

// HeaderContentType says what an event's payload is; see the content types.
const HeaderContentType = "Content-Type"

// The content types of events. Without one a payload that begins with "{" is
// JSON, and any other protobuf.
const (
	ContentTypeProtobuf  = "application/protobuf"
	ContentTypeXProtobuf = "application/x-protobuf"
	ContentTypeJSON      = "application/json"
)

// The headers of a dead letter. Its payload is the event's, cut to what fits
// (Rollcall-Size is the length before that), and the event's own Content-Type
// is kept.
const (
	HeaderReason   = "Rollcall-Reason"   // why it was refused: "bad_date"
	HeaderDetail   = "Rollcall-Detail"   // what is wrong, where, and what to do
	HeaderStream   = "Rollcall-Stream"   // the stream that has the original
	HeaderSubject  = "Rollcall-Subject"  // the original's subject
	HeaderSequence = "Rollcall-Sequence" // the original's sequence in the stream
	HeaderReceipt  = "Rollcall-Receipt"  // when the stream stored it, RFC 3339
	HeaderSize     = "Rollcall-Size"     // the original's payload in bytes
)

// Subjects are all subjects below one base.
type Subjects struct{ base string }

// NewSubjects returns the subjects below a base such as DefaultSubject: tokens
// of letters, digits, "-" and "_", joined by dots.
func NewSubjects(base string) (Subjects, error) {
	for token := range strings.SplitSeq(base, ".") {
		//guard:false "a base has no wildcard and no empty token" TestBases
		if token == "" || strings.Trim(token, tokenBytes) != "" {
			return Subjects{}, fmt.Errorf("subject %q: want tokens of letters, digits, - and _, joined by dots", base)
		}
	}
	if len(base) > maxBase {
		return Subjects{}, fmt.Errorf("subject of %d bytes: want at most %d", len(base), maxBase)
	}
	return Subjects{base}, nil
}

const (
	tokenBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	maxBase    = 255
)

// Base returns the base: "rollcall".
func (s Subjects) Base() string { return s.base }

// Events returns the subject that takes the events of all machines.
func (s Subjects) Events() string { return s.base + ".events" }

// EventsOf returns the subject that takes the events of one machine.
func (s Subjects) EventsOf(machine string) string {
	return s.Events() + "." + EncodeMachine(machine)
}

// AllEvents returns what the stream of events listens to.
func (s Subjects) AllEvents() []string { return []string{s.Events(), s.Events() + ".>"} }

// MachineOf returns the machine that a subject of events names, and "" for
// Events itself. The error says what is wrong with the subject.
func (s Subjects) MachineOf(subject string) (string, error) {
	rest, ok := strings.CutPrefix(subject, s.Events())
	switch {
	case ok && rest == "":
		return "", nil
	case !ok || rest[0] != '.':
		return "", fmt.Errorf("subject %q is not below %s", subject, s.Events())
	}
	machine, err := DecodeMachine(rest[1:])
	if err != nil {
		return "", fmt.Errorf("subject %q: %w", subject, err)
	}
	return machine, nil
}

// Reports returns the subject of reports, which is also that of page 1.
func (s Subjects) Reports() string { return s.base + ".reports" }

// ReportPage returns the subject of a report's page, from 1.
func (s Subjects) ReportPage(page int) string {
	if page == 1 {
		return s.Reports()
	}
	return s.Reports() + "." + strconv.Itoa(page)
}

// AllReports returns what the stream of reports listens to.
func (s Subjects) AllReports() []string { return []string{s.Reports(), s.Reports() + ".>"} }

// DeadLetter returns the subject of the message refused at a place. Where that
// is taken by a message of a stream that is gone, it has ".2" after it, then
// ".3".
func (s Subjects) DeadLetter(place uint64) string {
	return s.base + ".deadletters." + strconv.FormatUint(place, 10)
}

// AllDeadLetters returns what the stream of dead letters listens to.
func (s Subjects) AllDeadLetters() []string { return []string{s.base + ".deadletters.>"} }

// Query returns the subject of a question: Query("report").
func (s Subjects) Query(name string) string { return s.base + ".query." + name }

// AllQueries returns the subjects of all questions.
func (s Subjects) AllQueries() string { return s.base + ".query.>" }

// Changes returns the subject of what holds for the changes of all machines.
func (s Subjects) Changes() string { return s.base + ".changes" }

// ChangesOf returns the subject of the changes of one machine.
func (s Subjects) ChangesOf(machine string) string {
	return s.Changes() + "." + EncodeMachine(machine)
}

// AllChanges returns the subjects of the changes of every machine.
func (s Subjects) AllChanges() string { return s.base + ".changes.>" }

// EncodeMachine spells a machine's name as the end of a subject. Dots stay,
// but for a dot that begins or ends the name or follows a dot; that, and space,
// "*", ">", "/", "%", control and non-ASCII bytes, become %XX in upper case.
// Two names never have the same spelling.
//
// An MQTT client writes the same behind a slash: the NATS server maps the topic
// "rollcall/events/web.example.com" to the subject
// "rollcall.events.web//example//com". With "//" for every dot, a machine's name
// has its one other spelling, which nothing else can be: no slash stays.
func EncodeMachine(name string) string {
	if spellsItself(name) {
		return name
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(name))
	for i := 0; i < len(name); i++ {
		if c := name[i]; escaped(name, i) {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// spellsItself reports whether no byte of a name needs %XX.
func spellsItself(name string) bool {
	before := byte('.')
	for i := range len(name) {
		c := name[i]
		if !unescaped[c] || c == '.' && before == '.' {
			return false
		}
		before = c
	}
	return before != '.'
}

// unescaped are the bytes that stay as they are, a dot where it may.
var unescaped = func() (set [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		//guard:true "no name is a wildcard" TestSpellings
		set[c] = !strings.ContainsRune("*>/%", rune(c))
	}
	return set
}()

// escaped reports whether the byte at i needs %XX.
func escaped(name string, i int) bool {
	if name[i] == '.' {
		//guard:false "every name has a subject that NATS takes" TestSpellings
		return i == 0 || i == len(name)-1 || name[i-1] == '.'
	}
	return !unescaped[name[i]]
}

// mqttDot is what the NATS server's MQTT listener makes of a dot in a topic.
const mqttDot = "//"

// DecodeMachine is the inverse of EncodeMachine, and of what MQTT makes of its
// spellings. Any other spelling of the name is an error: a machine whose name
// has a dot has two subjects, any other has one.
func DecodeMachine(token string) (string, error) {
	if token == "" {
		return "", errors.New("no machine")
	}
	if strings.Contains(token, mqttDot) && !strings.Contains(token, ".") {
		token = strings.ReplaceAll(token, mqttDot, ".")
	}
	name := token
	if strings.Contains(token, "%") {
		var err error
		if name, err = unescape(token); err != nil {
			return "", err
		}
	}
	//guard:false "a machine has one subject, to which permissions bind" TestMisspelt
	if want := EncodeMachine(name); want != token {
		return "", fmt.Errorf("machine %q is spelt %q, want %q", name, token, want)
	}
	return name, nil
}

func unescape(token string) (string, error) {
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		if token[i] != '%' {
			b = append(b, token[i])
			continue
		}
		//guard:false "no subject crashes the service" TestMisspelt
		if i+3 > len(token) {
			return "", fmt.Errorf("%q at byte %d: want %% and two digits", token[i:], i)
		}
		c, err := hex.DecodeString(token[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("%q at byte %d: want %% and two digits", token[i:i+3], i)
		}
		b = append(b, c[0])
		i += 2
	}
	return string(b), nil
}
