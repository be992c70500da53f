package wire

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall/internal/roster"
	"rollcall/proto/rollcall/v1/rollcallpb"
)

// plainEvent is a payload as the libraries decode it: an oracle that applies the
// contract literally.
type plainEvent struct {
	malformed bool
	date      plainDate
	typ       string // "": missing
	texts     map[string]string
	mistyped  map[string]bool
	number    uint64
	every     time.Duration
	everyBad  bool
	sessions  []plainEvent // with user, session, since (as date), terminal, remote, service
}

type plainDate struct {
	present, bad bool
	at           time.Time
}

// verdict returns the first reason that applies, or the event.
func (p *plainEvent) verdict() (roster.Reason, roster.Event) {
	var belongs []string
	switch p.typ {
	case "login", "logout":
		belongs = []string{"user", "session", "terminal", "remote", "service"}
	case "present":
		belongs = []string{"sessions", "every"}
	}
	belongs = append(belongs, "date", "type", "machine", "origin", "number")
	switch {
	case p.malformed, p.hasMistyped(belongs), p.typ == "present" && (p.everyBad || p.entriesMalformed()):
		return roster.Malformed, roster.Event{}
	case p.lacks():
		return roster.MissingField, roster.Event{}
	case !slices.Contains([]string{"login", "logout", "boot", "shutdown", "present"}, p.typ):
		return roster.UnknownType, roster.Event{}
	case p.date.bad, p.typ == "present" && slices.ContainsFunc(p.sessions, func(s plainEvent) bool { return s.date.bad }):
		return roster.BadDate, roster.Event{}
	}
	e := roster.Event{Date: roster.TimeOf(p.date.at), Machine: p.texts["machine"], Origin: p.texts["origin"], Number: p.number}
	e.Type, _ = roster.ParseType(p.typ)
	names := []string{e.Machine, e.Origin}
	if slices.Contains(belongs, "user") {
		e.Session = p.session()
		names = append(names, slices.Collect(maps.Values(p.texts))...)
	}
	if p.typ == "present" {
		if p.every >= time.Minute && p.every <= 24*time.Hour {
			e.Every = p.every
		}
		for _, s := range p.sessions {
			session := s.session()
			if s.date.present {
				session.Since = roster.TimeOf(s.date.at)
			}
			e.Sessions = append(e.Sessions, session)
			names = append(names, slices.Collect(maps.Values(s.texts))...)
		}
	}
	if len(e.Origin) > 64 || slices.ContainsFunc(names, plainlyBad) {
		return roster.BadName, roster.Event{}
	}
	return "", e
}

func (p *plainEvent) hasMistyped(among []string) bool {
	return slices.ContainsFunc(among, func(key string) bool { return p.mistyped[key] })
}

func (p *plainEvent) entriesMalformed() bool {
	sessions, users := map[string]bool{}, map[string]bool{}
	for _, s := range p.sessions {
		user, session := s.texts["user"], s.texts["session"]
		switch {
		case s.malformed, len(s.mistyped) > 0, sessions[session], session == "" && users[user]:
			return true
		case session != "":
			sessions[session] = true
		case user != "":
			users[user] = true
		}
	}
	return false
}

func (p *plainEvent) lacks() bool {
	user, session := p.texts["user"], p.texts["session"]
	return !p.date.present || p.typ == "" || p.texts["machine"] == "" ||
		(p.texts["origin"] == "") != (p.number == 0) ||
		p.typ == "login" && user == "" ||
		p.typ == "logout" && user == "" && session == "" ||
		p.typ == "present" && slices.ContainsFunc(p.sessions, func(s plainEvent) bool { return s.texts["user"] == "" })
}

func (p *plainEvent) session() roster.Session {
	return roster.Session{
		User: p.texts["user"], ID: p.texts["session"],
		Terminal: p.texts["terminal"], Remote: p.texts["remote"], Service: p.texts["service"],
	}
}

// validSelector matches a variation selector after a character that has forms.
var validSelector = regexp.MustCompile(`([\p{Han}\p{So}])[\x{fe00}-\x{fe0f}\x{e0100}-\x{e01ef}]|(\p{Mongolian})[\x{180b}-\x{180d}\x{180f}]`)

func plainlyBad(name string) bool {
	if len(name) > 255 || name != "" && strings.TrimSpace(name) == "" {
		return true
	}
	return strings.ContainsFunc(validSelector.ReplaceAllString(name, "$1$2"), func(r rune) bool {
		return unicode.Is(unicode.Cc, r) || slices.ContainsFunc(invisible, func(span [2]rune) bool { return span[0] <= r && r <= span[1] })
	})
}

var (
	eventKeys = []string{"date", "type", "machine", "user", "session", "terminal", "remote", "service", "sessions", "origin", "number", "every"}
	entryKeys = []string{"user", "session", "since", "terminal", "remote", "service"}
)

// plainJSON reads a JSON payload by reflection.
func plainJSON(payload []byte, keys []string) (p plainEvent) {
	p.texts, p.mistyped = map[string]string{}, map[string]bool{}
	var members map[string]jsontext.Value
	err := json.Unmarshal(payload, &members)
	if err != nil || members == nil {
		p.malformed = true
		return p
	}
	for key, value := range members {
		known := slices.Contains(keys, key)
		p.malformed = p.malformed || !known && slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
		if known && value.Kind() != 'n' {
			p.set(key, value)
		}
	}
	return p
}

func (p *plainEvent) set(key string, value jsontext.Value) {
	if key == "sessions" {
		var entries []jsontext.Value
		p.mistyped[key] = json.Unmarshal(value, &entries) != nil
		for _, entry := range entries {
			p.sessions = append(p.sessions, plainJSON(entry, entryKeys))
		}
		return
	}
	if key == "number" {
		p.mistyped[key] = value.Kind() != '0' || json.Unmarshal(value, &p.number) != nil
		return
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		p.mistyped[key] = true
		return
	}
	switch key {
	case "date", "since":
		p.date = plainDateOf(text)
	case "type":
		p.typ = text
	case "every":
		every, err := time.ParseDuration(text)
		p.every, p.everyBad = every, err != nil && text != ""
	default:
		p.texts[key] = text
	}
}

var (
	rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	spaced  = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?$`)
)

func plainDateOf(text string) plainDate {
	if text == "" {
		return plainDate{}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	matches := rfc3339.MatchString(text)
	if !matches {
		at, err = time.Parse(time.DateTime, text)
		matches = spaced.MatchString(text)
	}
	return inRange(at, matches && err == nil)
}

func inRange(at time.Time, ok bool) plainDate {
	at = at.UTC()
	return plainDate{present: true, at: at, bad: !ok || at.Year() < 1970 || at.Year() > 2261}
}

// plainProtobuf reads a protobuf payload with the generated code.
func plainProtobuf(payload []byte) (p plainEvent) {
	var e rollcallpb.Event
	if proto.Unmarshal(payload, &e) != nil || hasKnownNumber(e.ProtoReflect().GetUnknown(), 12) ||
		hasKnownNumber(e.GetDate().ProtoReflect().GetUnknown(), 2) || hasKnownNumber(e.GetEvery().ProtoReflect().GetUnknown(), 2) {
		p.malformed = true
		return p
	}
	p.date = plainDateOfTimestamp(e.Date)
	p.typ = strings.ToLower(strings.TrimPrefix(e.Type.String(), "EVENT_TYPE_"))
	if e.Type == 0 {
		p.typ = ""
	}
	p.texts = map[string]string{
		"machine": e.Machine, "user": e.User, "session": e.Session,
		"terminal": e.Terminal, "remote": e.Remote, "service": e.Service, "origin": e.Origin,
	}
	p.number, p.every = e.Number, e.Every.AsDuration()
	for _, s := range e.Sessions {
		p.malformed = p.malformed || hasKnownNumber(s.ProtoReflect().GetUnknown(), 6) ||
			hasKnownNumber(s.GetSince().ProtoReflect().GetUnknown(), 2)
		p.sessions = append(p.sessions, plainEvent{date: plainDateOfTimestamp(s.Since), texts: map[string]string{
			"user": s.User, "session": s.Session, "terminal": s.Terminal, "remote": s.Remote, "service": s.Service,
		}})
	}
	return p
}

func plainDateOfTimestamp(t *timestamppb.Timestamp) plainDate {
	if t == nil {
		return plainDate{}
	}
	return inRange(t.AsTime(), t.IsValid())
}
