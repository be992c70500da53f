package roster

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Local is the name of the stream of events itself among those that may speak for machines:
// it speaks where events were published to it.
const Local = "local"

// Speakers says which source of the stream of events may speak for which machines. Those that
// are not listed speak for nobody. A nil *Speakers lets every source speak for every machine.
type Speakers struct {
	byName map[string]speaker // by the name that the server writes; "" is local
}

// speaker is a source that may speak for some machines.
type speaker struct {
	name     string
	machines []string // globs
}

// ParseSpeakers parses a list such as
//
//	fra/ROLLCALL_EVENTS=*.fra.example.com *.fra2.example.com,local=hub?
//
// with a source before each "=": the domain and the name of its stream, the name alone if it is
// in the domain of the stream of events, or [Local]. In the globs of machines "*" matches any
// text and "?" any one character. It returns nil for the empty text.
func ParseSpeakers(text string) (*Speakers, error) {
	if text == "" {
		return nil, nil
	}
	s := &Speakers{byName: map[string]speaker{}}
	for entry := range strings.SplitSeq(text, ",") {
		name, globs, found := strings.Cut(strings.TrimSpace(entry), "=")
		one := speaker{name: strings.TrimSpace(name), machines: strings.Fields(globs)}
		switch problem := sourceNameProblem(one.name); {
		case !found:
			return nil, fmt.Errorf("%q has no \"=\"", strings.TrimSpace(entry))
		case problem != "":
			return nil, fmt.Errorf("%q %s", one.name, problem)
		case len(one.machines) == 0:
			return nil, fmt.Errorf("%q is followed by no machines", one.name)
		}
		for _, glob := range one.machines {
			if strings.ContainsAny(glob, "=[]") {
				return nil, fmt.Errorf("%q is not a glob of machines", glob)
			}
		}
		written := writtenName(one.name)
		//guard:false "of two lists for a source none is ignored" TestParseSpeakers
		if _, twice := s.byName[written]; twice {
			return nil, fmt.Errorf("%q is listed twice", one.name)
		}
		slices.Sort(one.machines)
		one.machines = slices.Compact(one.machines)
		s.byName[written] = one
	}
	return s, nil
}

// sourceNameProblem returns what is wrong with the name of a source, or "".
func sourceNameProblem(name string) string {
	stream := name[strings.LastIndexByte(name, '/')+1:]
	api := strings.TrimSuffix(strings.TrimSuffix(name, stream), "/")
	isBad := func(s, no string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(no, r) })
	}
	if stream == "" || isBad(stream, `.*>\`) || stream != name && (api == "" || isBad(api, "*>")) {
		return "is not the name of a source"
	}
	return ""
}

// writtenName returns what the server writes for a source that is named as in configuration.
func writtenName(name string) string {
	if name == Local {
		return ""
	}
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return name
	}
	api := name[:at]
	if !strings.Contains(api, ".") {
		api = "$JS." + api + ".API"
	}
	return WrittenSource(name[at+1:], api)
}

// WrittenSource returns the name of a source in another domain or account as the server writes
// it in messages: the stream's, and a hash of the prefix of its API (getHash in nats-server's
// events.go).
func WrittenSource(stream, api string) string { return stream + ":" + HashOfName(api) }

// HashOfName is the server's hash of names.
func HashOfName(name string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(name))
	short := sum[:8]
	for i, b := range short {
		short[i] = digits[int(b)%len(digits)]
	}
	return string(short)
}

// SourceConsumer begins what the server appends to the name of a source that it reads by a
// durable consumer.
const SourceConsumer = ":C="

// of returns what is listed for a source, by its written name.
func (s *Speakers) of(written string) (speaker, bool) {
	written, _, _ = strings.Cut(written, SourceConsumer)
	one, ok := s.byName[written]
	return one, ok
}

// May reports whether a source, by its written name, or "" for the stream of events itself, may
// speak for a machine.
func (s *Speakers) May(written, machine string) bool {
	if s == nil {
		return true
	}
	one, _ := s.of(written)
	return slices.ContainsFunc(one.machines, func(glob string) bool { return matches(glob, machine) })
}

// Lists reports whether a source, by its written name, is listed.
func (s *Speakers) Lists(written string) bool {
	if s == nil {
		return true
	}
	_, ok := s.of(written)
	return ok
}

// Sources returns the sources that are listed, without [Local], by their written names: as they
// are named in the list.
func (s *Speakers) Sources() map[string]string {
	names := map[string]string{}
	if s != nil {
		for written, one := range s.byName {
			if written != "" {
				names[written] = one.name
			}
		}
	}
	return names
}

// String returns the list in the one form that has the same meaning: sorted.
func (s *Speakers) String() string {
	if s == nil {
		return ""
	}
	var entries []string
	for one := range maps.Values(s.byName) {
		entries = append(entries, one.name+"="+strings.Join(one.machines, " "))
	}
	slices.Sort(entries)
	return strings.Join(entries, ",")
}

// refuse refuses an event whose source may not speak for its machine.
func (s *Speakers) refuse(from *Sourced, machine string) *Refusal {
	//guard:true "a site speaks for its own machines only" ^(TestSpeakers|TestSpeakersOracle)$
	//guard:true "a site speaks for its own machines only, in any schedule" ./internal/stream:TestSimulatedSites
	if s.May(from.Name, machine) {
		return nil
	}
	const remedy = "publish a machine's events at its own site, or list the machine with this source in ROLLCALL_SOURCES"
	switch one, listed := s.of(from.Name); {
	case !listed && from.Name == "":
		return &Refusal{Identity, `it was published to the stream of events itself, and ROLLCALL_SOURCES lists no "local"`, remedy}
	case !listed:
		return &Refusal{Identity, fmt.Sprintf("it is from the source that the server calls %q, which ROLLCALL_SOURCES does not list", from.Name), remedy}
	default:
		return &Refusal{Identity, fmt.Sprintf("source %s does not speak for machine %q", one.name, machine), remedy}
	}
}

// speakersOf returns the speakers of settings. With a list that no configuration can have, as
// of a damaged file, nobody speaks.
func speakersOf(s Settings) *Speakers {
	speakers, err := ParseSpeakers(s.Sources)
	if err != nil {
		return &Speakers{}
	}
	return speakers
}

// matches reports whether a name matches a glob.
func matches(glob, name string) bool {
	// star is the rest of the glob after the last "*", rest that of the name after the text
	// that it matches so far.
	star, rest := "", ""
	starred := false
	for name != "" {
		_, n := utf8.DecodeRuneInString(name)
		switch {
		case glob != "" && glob[0] == '*':
			star, rest, starred = glob[1:], name, true
			glob = star
		case glob != "" && glob[0] == '?':
			glob, name = glob[1:], name[n:]
		case glob != "" && glob[0] == name[0]:
			glob, name = glob[1:], name[1:]
		case starred:
			_, n := utf8.DecodeRuneInString(rest)
			rest = rest[n:]
			glob, name = star, rest
		default:
			return false
		}
	}
	return strings.Trim(glob, "*") == ""
}
