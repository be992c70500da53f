package rollcallv1

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// FuzzSubject takes a text as a name and as a token. The spelling of the name
// must stand for the name, be a subject, and be the only one but for that of
// MQTT; the token must be taken exactly when it is a spelling of some name.
func FuzzSubject(f *testing.F) {
	for name, token := range spellings {
		f.Add(name)
		f.Add(token)
	}
	for _, token := range []string{"%2e", "a%2Eb", "%", "%zz", "a..b", "a.", "a%20", "%C3", "a.%2E.b", "a//b", "a//%2E", "a///b", "a////b", "a.b//c", "a//", "//"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		token := EncodeMachine(text)
		if !plainToken(token) {
			t.Errorf("%q is spelt %q, which is no end of a subject", text, token)
		}
		if decodedPlainly(token) != text {
			t.Errorf("%q is spelt %q, which stands for %q", text, token, decodedPlainly(token))
		}
		if name, err := DecodeMachine(token); name != text || err != nil {
			t.Errorf("%q is spelt %q, which is read as %q, %v", text, token, name, err)
		}
		if name, err := DecodeMachine(fromMQTT(token)); name != text || err != nil {
			t.Errorf("%q is spelt %q in MQTT, which is read as %q, %v", text, fromMQTT(token), name, err)
		}
		if name, err := DecodeMachine(text); err == nil {
			if token := EncodeMachine(name); token != text && fromMQTT(token) != text {
				t.Errorf("%q is read as %q, which is spelt %q", text, name, token)
			}
		} else if canonicalPlainly(text) || fromMQTTPlainly(text) {
			t.Errorf("%q is refused: %v", text, err)
		}
	})
}

// fromMQTT is the spelling as it arrives from MQTT.
func fromMQTT(token string) string {
	return strings.Join(strings.Split(token, "."), "//")
}

// fromMQTTPlainly reports whether a token is one that arrives from MQTT: parts
// without a dot or a slash, with two slashes between them, which with dots there
// would be a canonical spelling.
func fromMQTTPlainly(token string) bool {
	parts := strings.Split(token, "//")
	return !strings.ContainsAny(strings.Join(parts, ""), "./") && canonicalPlainly(strings.Join(parts, "."))
}

// plainToken reports whether a text can end a subject: tokens of visible ASCII
// without wildcards, joined by dots, none of them empty.
func plainToken(token string) bool {
	return regexp.MustCompile(`^[!-~]+$`).MatchString(token) && !strings.ContainsAny(token, "*>/") &&
		!strings.HasPrefix(token, ".") && !strings.HasSuffix(token, ".") && !strings.Contains(token, "..")
}

// decodedPlainly decodes a token by the library.
func decodedPlainly(token string) string {
	name, err := url.PathUnescape(token)
	if err != nil {
		return "no token"
	}
	return name
}

// The spelling as a grammar: what needs no escape stands bare, escapes are in
// upper case and of bytes that need one, and a dot is escaped exactly where it
// begins or ends the name or follows a dot, escaped or not.
var (
	escapes    = `%(?:[01][0-9A-F]|20|25|2A|2F|3E|7F|[89A-F][0-9A-F]|2E)`
	spelling   = regexp.MustCompile(`^(?:[!-$&-)+-=?-~]|` + escapes + `)+$`)
	escapedDot = regexp.MustCompile(`%2E`)
)

func canonicalPlainly(token string) bool {
	if !plainToken(token) || !spelling.MatchString(token) || strings.Contains(token, "%2E.") {
		return false
	}
	for _, at := range escapedDot.FindAllStringIndex(token, -1) {
		before, after := token[:at[0]], token[at[1]:]
		if before != "" && after != "" && !strings.HasSuffix(before, ".") && !strings.HasSuffix(before, "%2E") {
			return false
		}
	}
	return true
}
