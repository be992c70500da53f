package query

import (
	"strings"

	"rollcall/internal/api"
	"rollcall/internal/roster"
)

// wanted is what a request says of the sessions that it asks for. Empty texts select all.
type wanted struct {
	user, users, remote, service, session string
	// parts says that the texts are parts of what is asked for.
	parts bool
}

// fields select sessions: all of them must match.
type fields []field

// field is one field of a session, and whether a value of it is asked for.
type field struct {
	key     string
	of      func(*roster.Session) string
	matches func(value string) bool
}

// fields returns the fields that are asked for.
func (w *wanted) fields() (fields, error) {
	userOf := func(s *roster.Session) string { return s.User }
	var set fields
	for _, f := range []struct {
		key, text string
		of        func(*roster.Session) string
	}{
		{"user", w.user, userOf},
		{"users", w.users, userOf},
		{"remote", w.remote, func(s *roster.Session) string { return s.Remote }},
		{"service", w.service, func(s *roster.Session) string { return s.Service }},
		{"session", w.session, func(s *roster.Session) string { return s.ID }},
	} {
		if f.text == "" {
			continue
		}
		if err := checkName(f.key, f.text); err != nil {
			return nil, err
		}
		set = append(set, field{f.key, f.of, w.matching(f.key, f.text)})
	}
	return set, nil
}

// matching returns the function that reports whether a value is asked for by a text.
func (w *wanted) matching(key, text string) func(value string) bool {
	switch {
	case w.parts:
		part := api.Fold(text)
		return func(value string) bool { return strings.Contains(api.Fold(value), part) }
	case key == "users":
		return func(value string) bool { return api.Matches(text, value) }
	}
	return func(value string) bool { return value == text }
}

// match reports whether a session is selected.
func (fs fields) match(s *roster.Session) bool {
	for i := range fs {
		if !fs[i].matches(fs[i].of(s)) {
			return false
		}
	}
	return true
}

// matchUser reports whether sessions of a user may be selected.
func (fs fields) matchUser(user string) bool {
	for i := range fs {
		if key := fs[i].key; (key == "user" || key == "users") && !fs[i].matches(user) {
			return false
		}
	}
	return true
}
