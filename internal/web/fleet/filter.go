package fleet

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/internal/api"
)

// Filter selects machines and users by words, which may be parts of names.
type Filter struct {
	// Text is what was read, in one spelling: equal texts select the same.
	Text  string
	terms []term
	// machines and users have a session from a remote: by the text of the term, and the
	// name. See [Filter.Remotes].
	machines, users map[[2]string]bool
	// digest is of these two: lists of other machines are other lists.
	digest uint64
}

type term struct {
	field  string // "", "user", "machine" or "remote"
	text   string
	folded string // as [api.Fold] does
	not    bool
}

// maxFilter bounds the text of a filter, in bytes.
const maxFilter = 500

// ParseFilter reads a filter: words separated by spaces, each of which must be part of
// the name of the machine or of a user on it. "user:", "machine:" or "remote:" in front
// say of what; a - in front excludes. A word in double quotes may have spaces.
func ParseFilter(text string) (Filter, error) {
	if len(text) > maxFilter {
		return Filter{}, fmt.Errorf("the filter has more than %d bytes: use fewer words", maxFilter)
	}
	//guard:false "a filter is not repaired: its text would select what nobody wrote" TestFilterMistakes
	if !utf8.ValidString(text) {
		return Filter{}, errors.New("the filter is not valid UTF-8: write it again")
	}
	words, err := split(text)
	if err != nil {
		return Filter{}, err
	}
	var f Filter
	for i, word := range words {
		var t term
		t.text, t.not = strings.CutPrefix(word, "-")
		for _, field := range []string{"user", "machine", "remote"} {
			if rest, ok := strings.CutPrefix(t.text, field+":"); ok {
				t.field, t.text = field, rest
				break
			}
		}
		if t.text == "" {
			return Filter{}, fmt.Errorf("the filter's word %q is without a text: write, for example, user:anna or -web", word)
		}
		t.folded = api.Fold(t.text)
		if !slices.Contains(f.terms, t) {
			f.terms = append(f.terms, t)
		}
		if i > 0 {
			f.Text += " "
		}
		f.Text += quoted(word)
	}
	return f, nil
}

// split splits a text at its spaces, but not inside of double quotes.
func split(text string) (words []string, err error) {
	var word strings.Builder
	inside, begun := false, false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, c := range text {
		switch {
		case c == '"':
			inside, begun = !inside, true
		case !inside && (c == ' ' || c == '\t'):
			end()
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if inside {
		return nil, errors.New(`the filter has an opening " without a closing one: add it`)
	}
	end()
	return words, nil
}

func quoted(word string) string {
	if strings.ContainsAny(word, " \t") {
		return `"` + word + `"`
	}
	return word
}

// Parts returns the text of each field of a filter in which each term is of a field of its own,
// and excludes nothing; false: it is not such a filter.
func (f *Filter) Parts() (parts map[string]string, ok bool) {
	parts = map[string]string{}
	for _, t := range f.terms {
		if _, twice := parts[t.field]; twice || t.not || t.field == "" {
			return nil, false
		}
		parts[t.field] = t.text
	}
	return parts, len(parts) > 0
}

// Remotes returns the texts of the terms for remote. For each of them, OnRemotes has to
// be called.
func (f *Filter) Remotes() (texts []string) {
	for _, t := range f.terms {
		if t.field == "remote" && !slices.Contains(texts, t.text) {
			texts = append(texts, t.text)
		}
	}
	return texts
}

var seed = maphash.MakeSeed()

// OnRemotes says which machines and which users have sessions from a remote that contains
// the text of a term.
func (f *Filter) OnRemotes(text string, machines, users []string) {
	add := func(to *map[[2]string]bool, kind string, names []string) {
		if *to == nil {
			*to = map[[2]string]bool{}
		}
		for _, name := range names {
			key := [2]string{text, name}
			if !(*to)[key] {
				(*to)[key] = true
				f.digest += maphash.Comparable(seed, [3]string{kind, text, name})
			}
		}
	}
	add(&f.machines, "machine", machines)
	add(&f.users, "user", users)
}

// machine reports whether a filter selects a machine.
func (f *Filter) machine(m *Machine) bool {
	return f.selects("machine", m.Name, "user", m.Users, f.machines)
}

// user reports whether a filter selects a user.
func (f *Filter) user(name string, machines []string) bool {
	return f.selects("user", name, "machine", machines, f.users)
}

// selects reports whether a filter selects something of a kind by its name, and by the names
// of another kind that are with it. Each name is folded once, however many terms there are.
func (f *Filter) selects(kind, name, otherKind string, others []string, onRemote map[[2]string]bool) bool {
	if len(f.terms) == 0 {
		return true
	}
	folded := api.Fold(name)
	var room [8]string // most machines and users have fewer
	foldedOthers := room[:0]
	anyOther := func(t *term) bool {
		for i, other := range others {
			if i == len(foldedOthers) {
				foldedOthers = append(foldedOthers, api.Fold(other))
			}
			if t.partOf(foldedOthers[i]) {
				return true
			}
		}
		return false
	}
	for i := range f.terms {
		t := &f.terms[i]
		var has bool
		switch t.field {
		case kind:
			has = t.partOf(folded)
		case otherKind:
			has = anyOther(t)
		case "remote":
			has = onRemote[[2]string{t.text, name}]
		default:
			has = t.partOf(folded) || anyOther(t)
		}
		if has == t.not {
			return false
		}
	}
	return true
}

// partOf is [api.Contains] with both folded.
func (t *term) partOf(folded string) bool { return strings.Contains(folded, t.folded) }
