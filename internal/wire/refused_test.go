package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// refused is a payload and how it is refused: the reason, and what the problem
// must say. Without a subject and a content type none is given.
type refused struct {
	what                 string
	subject, contentType string
	payload              string
	reason               roster.Reason
	says                 string
}

// goodLogin has the keys of a good login and their values, in JSON.
var goodLogin = [][2]string{
	{"date", `"2026-11-22T21:00:00Z"`}, {"type", `"login"`}, {"machine", `"m.example.com"`}, {"user", `"lane"`},
}

// with is a good login in JSON, but for keys and their values, which are
// replaced or added. Without a value a key is left out.
func with(keyValues ...string) string {
	members := slices.Clone(goodLogin)
	for pair := range slices.Chunk(keyValues, 2) {
		i := slices.IndexFunc(members, func(m [2]string) bool { return m[0] == pair[0] })
		switch {
		case i >= 0 && pair[1] == "":
			members = slices.Delete(members, i, i+1)
		case i >= 0:
			members[i][1] = pair[1]
		default:
			members = append(members, [2]string{pair[0], pair[1]})
		}
	}
	texts := make([]string, 0, len(members))
	for _, m := range members {
		texts = append(texts, `"`+m[0]+`":`+m[1])
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// present is a good present in JSON, with the sessions given.
func present(sessions string) string {
	return with("type", `"present"`, "user", "", "sessions", sessions)
}

var good = with()

var refusedJSON = []refused{
	// Not one JSON object.
	{what: "list", payload: `[]`, reason: roster.Malformed, says: `"[]" is neither a JSON object nor protobuf`},
	{what: "list of events", payload: "[" + good + "]", reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "string", payload: `""`, reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "null", payload: `null`, reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "white space first, nothing said", payload: " " + good, reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "line feed first, nothing said", payload: "\n" + good, reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "tab first, nothing said", payload: "\t" + good, reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "plain text", payload: "lane logged in", reason: roster.Malformed, says: `"lane logged in" is neither`},
	{what: "said list", contentType: "application/json", payload: `[]`, reason: roster.Malformed, says: "payload: a list, want one object"},
	{what: "said string", contentType: "application/json", payload: `""`, reason: roster.Malformed, says: "a string, want one object"},
	{what: "said null", contentType: "application/json", payload: `null`, reason: roster.Malformed, says: "null, want one object"},
	{what: "said number", contentType: "application/json", payload: `-1.5`, reason: roster.Malformed, says: "a number, want one object"},
	{what: "said true", contentType: "application/json", payload: `true`, reason: roster.Malformed, says: "true or false, want one object"},
	{what: "said nothing in it", contentType: "application/json", payload: ``, reason: roster.Malformed, says: "nothing in it"},
	{what: "said white space", contentType: "application/json", payload: " \t\r\n", reason: roster.Malformed, says: "nothing in it"},
	{what: "said word", contentType: "application/json", payload: `hello`, reason: roster.Malformed, says: "byte 0: "},
	{what: "said protobuf", contentType: "application/json", payload: "\x0a\x00\x10\x01", reason: roster.Malformed, says: "byte "},
	{what: "UTF-16", contentType: "application/json", payload: "{\x00\"\x00d\x00", reason: roster.Malformed, says: "byte 1: "},
	{what: "byte-order mark", payload: "\uFEFF" + good, reason: roster.Malformed, says: "neither a JSON object nor protobuf"},
	{what: "said, byte-order mark", contentType: "application/json", payload: "\uFEFF" + good, reason: roster.Malformed, says: "a byte-order mark"},
	{what: "byte-order mark inside", payload: "{\uFEFF" + good[1:], reason: roster.Malformed, says: "byte 1: "},
	{what: "byte-order mark after", payload: good + "\uFEFF", reason: roster.Malformed, says: "after the object"},

	// Syntax.
	{what: "open object", payload: `{`, reason: roster.Malformed, says: "byte 1: the JSON ends too early"},
	{what: "truncated in a key", payload: good[:4], reason: roster.Malformed, says: "byte 4: the JSON ends too early"},
	{what: "truncated in a value", payload: good[:15], reason: roster.Malformed, says: "ends too early"},
	{what: "truncated after a comma", payload: `{"date":"2026-11-22T21:00:00Z",`, reason: roster.Malformed, says: "ends too early"},
	{what: "last brace missing", payload: good[:len(good)-1], reason: roster.Malformed, says: "ends too early"},
	{what: "comma at the end", payload: good[:len(good)-1] + ",}", reason: roster.Malformed, says: "byte "},
	{what: "comma at the start", payload: "{," + good[1:], reason: roster.Malformed, says: "byte "},
	{what: "two commas", payload: strings.Replace(good, ",", ",,", 1), reason: roster.Malformed, says: "byte "},
	{what: "no comma", payload: strings.Replace(good, ",", " ", 1), reason: roster.Malformed, says: "expecting ','"},
	{what: "no colon", payload: `{"date" "2026"}`, reason: roster.Malformed, says: "expecting ':'"},
	{what: "no value", payload: `{"date":}`, reason: roster.Malformed, says: "byte "},
	{what: "no key", payload: `{:1}`, reason: roster.Malformed, says: "byte 1"},
	{what: "bare key", payload: `{date:"2026"}`, reason: roster.Malformed, says: "byte 1: invalid character 'd'"},
	{what: "number as key", payload: `{1:2}`, reason: roster.Malformed, says: "byte 1: a key that is no string"},
	{what: "object as key", payload: `{{}:2}`, reason: roster.Malformed, says: "byte 1: a key that is no string"},
	{what: "single quotes", payload: `{'date':'2026'}`, reason: roster.Malformed, says: `byte 1: `},
	{what: "comment", payload: `{/* */` + good[1:], reason: roster.Malformed, says: "byte 1: "},
	{what: "wrong bracket", payload: good[:len(good)-1] + "]", reason: roster.Malformed, says: "byte "},
	{what: "NaN", payload: with("load", "NaN"), reason: roster.Malformed, says: "invalid character 'N'"},
	{what: "Infinity", payload: with("load", "-Infinity"), reason: roster.Malformed, says: "byte "},
	{what: "number with a leading zero", payload: with("load", "01"), reason: roster.Malformed, says: "byte "},
	{what: "number in hexadecimal", payload: with("load", "0x1"), reason: roster.Malformed, says: "byte "},
	{what: "number ending in a point", payload: with("load", "1."), reason: roster.Malformed, says: "byte "},
	{what: "True", payload: with("ok", "True"), reason: roster.Malformed, says: "byte "},
	{what: "undefined", payload: with("user", "undefined"), reason: roster.Malformed, says: "byte "},
	{what: "unknown key with bad syntax", payload: with("extra", "{]"), reason: roster.Malformed, says: "byte "},
	{what: "too deep", payload: with("extra", strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)), reason: roster.Malformed, says: "depth"},
	{what: "endless lists", payload: with("extra", strings.Repeat("[", 200_000)), reason: roster.Malformed, says: "depth"},
	{what: "two objects", payload: good + good, reason: roster.Malformed, says: "after the object"},
	{what: "two lines", payload: good + "\n" + good + "\n", reason: roster.Malformed, says: "after the object"},
	{what: "brace after", payload: good + "}", reason: roster.Malformed, says: `"}" after the object`},
	{what: "comma after", payload: good + ",", reason: roster.Malformed, says: `"," after the object`},
	{what: "NUL after", payload: good + "\x00", reason: roster.Malformed, says: `"\x00" after the object`},
	{what: "no-break space after", payload: good + "\u00a0", reason: roster.Malformed, says: "after the object"},
	{what: "form feed after", payload: good + "\f", reason: roster.Malformed, says: "after the object"},
	{what: "invalid UTF-8 after", payload: good + "\xff", reason: roster.Malformed, says: `"\xff" after the object`},

	// Strings.
	{what: "invalid UTF-8 in a name", payload: with("user", "\"l\xffne\""), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "overlong UTF-8", payload: with("user", "\"\xc0\xaf\""), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "surrogate in UTF-8", payload: with("user", "\"\xed\xa0\x80\""), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "UTF-8 cut short", payload: with("user", "\"\xe2\x82\""), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "beyond Unicode", payload: with("user", "\"\xf4\x90\x80\x80\""), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "invalid UTF-8 in an unknown key", payload: with("x\xff", "1"), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "invalid UTF-8 in an unknown value", payload: with("x", "[\"\xff\"]"), reason: roster.Malformed, says: "invalid UTF-8"},
	{what: "high surrogate alone", payload: with("user", `"\ud800"`), reason: roster.Malformed, says: "invalid "},
	{what: "low surrogate alone", payload: with("user", `"\udc00"`), reason: roster.Malformed, says: "invalid "},
	{what: "surrogates in the wrong order", payload: with("user", `"\udc00\ud800"`), reason: roster.Malformed, says: "invalid "},
	{what: "high surrogate and a letter", payload: with("user", `"\ud800abcdef"`), reason: roster.Malformed, says: "invalid "},
	{what: "bad escape", payload: with("user", `"\x41"`), reason: roster.Malformed, says: "invalid escape"},
	{what: "escape cut short", payload: with("user", `"\u00"`), reason: roster.Malformed, says: "invalid escape"},
	{what: "escape of a quote only", payload: with("user", `"\'"`), reason: roster.Malformed, says: "invalid escape"},
	{what: "raw line feed", payload: with("user", "\"la\nne\""), reason: roster.Malformed, says: "invalid character"},
	{what: "raw NUL", payload: with("user", "\"la\x00ne\""), reason: roster.Malformed, says: "invalid character"},

	// Keys.
	{what: "key twice", payload: with("user", `"a","user":"a"`), reason: roster.Malformed, says: `key "user" twice`},
	{what: "key twice by an escape", payload: with("\\u0075ser", `"b"`), reason: roster.Malformed, says: `key "user" twice`},
	{what: "key twice, first null", payload: with("session", `null,"session":"1"`), reason: roster.Malformed, says: `key "session" twice`},
	{what: "unknown key twice", payload: with("x", `1,"x":1`), reason: roster.Malformed, says: `key "x" twice`},
	{what: "key twice in an unknown object", payload: with("x", `{"a":1,"a":1}`), reason: roster.Malformed, says: `key "a" twice`},
	{what: "key twice in an entry", payload: present(`[{"user":"a","user":"b"}]`), reason: roster.Malformed, says: `key "user" twice`},
	{what: "key twice among what does not belong", payload: with("sessions", `[{"user":"a","user":"b"}]`), reason: roster.Malformed, says: `key "user" twice`},
	{what: "MACHINE", payload: with("machine", "", "MACHINE", `"m"`), reason: roster.Malformed, says: `key "MACHINE", want "machine"`},
	{what: "Date", payload: with("date", "", "Date", `"2026-11-22T21:00:00Z"`), reason: roster.Malformed, says: `key "Date", want "date"`},
	{what: "User beside user", payload: with("User", `"x"`), reason: roster.Malformed, says: `key "User", want "user"`},
	{what: "null in the wrong case", payload: with("Session", `null`), reason: roster.Malformed, says: `want "session"`},
	{what: "wrong case by an escape", payload: with("\\u0055ser", `"x"`), reason: roster.Malformed, says: `key "User", want "user"`},
	{what: "wrong case with a long s", payload: with("u\u017fer", `"x"`), reason: roster.Malformed, says: `key "uſer", want "user"`},
	{what: "wrong case of what does not belong", payload: with("Sessions", `[]`), reason: roster.Malformed, says: `want "sessions"`},
	{what: "wrong case in an entry", payload: present(`[{"user":"a"},{"user":"b","Since":null}]`), reason: roster.Malformed, says: `sessions[1]: key "Since", want "since"`},

	// Wrong JSON types.
	{what: "date a number", payload: with("date", "1795381200"), reason: roster.Malformed, says: "date: a number, want a string"},
	{what: "date an object", payload: with("date", `{"seconds":1}`), reason: roster.Malformed, says: "date: an object, want a string"},
	{what: "type a number", payload: with("type", "1"), reason: roster.Malformed, says: "type: a number, want a string"},
	{what: "type a list", payload: with("type", `["login"]`), reason: roster.Malformed, says: "type: a list, want a string"},
	{what: "machine false", payload: with("machine", "false"), reason: roster.Malformed, says: "machine: true or false, want a string"},
	{what: "machine a number", payload: with("machine", "7"), reason: roster.Malformed, says: "machine: a number, want a string"},
	{what: "user a number", payload: with("user", "1000"), reason: roster.Malformed, says: "user: a number, want a string"},
	{what: "user a list", payload: with("user", `["lane"]`), reason: roster.Malformed, says: "user: a list, want a string"},
	{what: "session a number", payload: with("session", "12"), reason: roster.Malformed, says: "session: a number, want a string"},
	{what: "terminal an object", payload: with("terminal", "{}"), reason: roster.Malformed, says: "terminal: an object, want a string"},
	{what: "remote true", payload: with("remote", "true"), reason: roster.Malformed, says: "remote: true or false, want a string"},
	{what: "service a list", payload: with("service", "[]"), reason: roster.Malformed, says: "service: a list, want a string"},
	{what: "user a number before the type", payload: `{"user":1,"machine":"m","date":"2026-11-22T21:00:00Z","type":"logout"}`, reason: roster.Malformed, says: "user: a number"},
	{what: "sessions an object", payload: present(`{"user":"lane"}`), reason: roster.Malformed, says: "sessions: an object, want a list"},
	{what: "sessions a number", payload: present(`5`), reason: roster.Malformed, says: "sessions: a number, want a list"},
	{what: "sessions a string", payload: present(`"lane"`), reason: roster.Malformed, says: "sessions: a string, want a list"},
	{what: "sessions an empty string", payload: present(`""`), reason: roster.Malformed, says: "sessions: a string, want a list"},
	{what: "entry a string", payload: present(`["lane"]`), reason: roster.Malformed, says: "sessions[0]: a string, want an object"},
	{what: "entry null", payload: present(`[{"user":"a"},null]`), reason: roster.Malformed, says: "sessions[1]: null, want an object"},
	{what: "entry a list", payload: present(`[[]]`), reason: roster.Malformed, says: "sessions[0]: a list, want an object"},
	{what: "user of an entry a number", payload: present(`[{"user":1}]`), reason: roster.Malformed, says: "sessions[0].user: a number, want a string"},
	{what: "since a number", payload: present(`[{"user":"a"},{"user":"b","since":1}]`), reason: roster.Malformed, says: "sessions[1].since: a number, want a string"},
	{what: "the first of two bad entries", payload: present(`[{"user":"a"},{"user":1},7]`), reason: roster.Malformed, says: "sessions[1].user: a number"},
	{what: "remote of an entry an object", payload: present(`[{"user":"a","remote":{}}]`), reason: roster.Malformed, says: "sessions[0].remote: an object"},

	// One entry for each session.
	{what: "session twice", payload: present(`[{"user":"a","session":"1"},{"user":"c"},{"user":"b","session":"1"}]`), reason: roster.Malformed, says: `sessions[0] and sessions[2]: both session "1"`},
	{what: "user twice without session", payload: present(`[{"user":"a","session":"1"},{"user":"a"},{"user":"a","session":""}]`), reason: roster.Malformed, says: `sessions[1] and sessions[2]: both user "a"`},
	{what: "user twice by an escape", payload: present(`[{"user":"a"},{"user":"\u0061","session":null}]`), reason: roster.Malformed, says: `sessions[0] and sessions[1]`},
	{what: "session twice of many", payload: present("[" + entries(100) + `,{"user":"z","session":"s7"}]`), reason: roster.Malformed, says: `sessions[7] and sessions[100]: both session "s7"`},
	{what: "user twice of many", payload: present(`[{"user":"a"},` + entries(40) + `,{"user":"a"}]`), reason: roster.Malformed, says: `sessions[0] and sessions[41]: both user "a"`},

	// Missing.
	{what: "empty object", payload: `{}`, reason: roster.MissingField, says: "date: missing"},
	{what: "unknown keys only", payload: `{"x":1}`, reason: roster.MissingField, says: "date: missing"},
	{what: "no date", payload: with("date", ""), reason: roster.MissingField, says: "date: missing"},
	{what: "date null", payload: with("date", "null"), reason: roster.MissingField, says: "date: missing"},
	{what: "date empty", payload: with("date", `""`), reason: roster.MissingField, says: "date: missing"},
	{what: "no type", payload: with("type", ""), reason: roster.MissingField, says: "type: missing"},
	{what: "type null", payload: with("type", "null"), reason: roster.MissingField, says: "type: missing"},
	{what: "type empty", payload: with("type", `""`), reason: roster.MissingField, says: "type: missing"},
	{what: "no machine", payload: with("machine", ""), reason: roster.MissingField, says: "machine: missing"},
	{what: "machine null", payload: with("machine", "null"), reason: roster.MissingField, says: "machine: missing"},
	{what: "machine empty", payload: with("machine", `""`), reason: roster.MissingField, says: "machine: missing"},
	{what: "login without user", payload: with("user", ""), reason: roster.MissingField, says: "user: missing"},
	{what: "login with user null", payload: with("user", "null"), reason: roster.MissingField, says: "user: missing"},
	{what: "login with user empty", payload: with("user", `""`), reason: roster.MissingField, says: "user: missing"},
	{what: "login with session only", payload: with("user", "", "session", `"1"`), reason: roster.MissingField, says: "user: missing"},
	{what: "logout without both", payload: with("type", `"logout"`, "user", ""), reason: roster.MissingField, says: "user: missing"},
	{what: "logout with both empty", payload: with("type", `"logout"`, "user", `""`, "session", "null"), reason: roster.MissingField, says: "user: missing"},
	{what: "boot without machine", payload: with("type", `"boot"`, "machine", ""), reason: roster.MissingField, says: "machine: missing"},
	{what: "entry without user", payload: present(`[{"user":"a"},{}]`), reason: roster.MissingField, says: "sessions[1].user: missing"},
	{what: "entries without user", payload: present(`[{},{}]`), reason: roster.MissingField, says: "sessions[0].user: missing"},
	{what: "many entries without user", payload: present("[" + entries(20) + `,{},{},{}]`), reason: roster.MissingField, says: "sessions[20].user: missing"},
	{what: "entry with session only", payload: present(`[{"session":"1"}]`), reason: roster.MissingField, says: "sessions[0].user: missing"},
	{what: "entry with user null", payload: present(`[{"user":null,"session":"1"}]`), reason: roster.MissingField, says: "sessions[0].user: missing"},

	// Types.
	{what: "unknown type", payload: with("type", `"reboot"`), reason: roster.UnknownType, says: `type: "reboot"`},
	{what: "Login", payload: with("type", `"Login"`), reason: roster.UnknownType, says: `type: "Login"`},
	{what: "protobuf's name", payload: with("type", `"EVENT_TYPE_LOGIN"`), reason: roster.UnknownType},
	{what: "type with a space", payload: with("type", `"login "`), reason: roster.UnknownType, says: `type: "login "`},
	{what: "type unknown", payload: with("type", `"unknown"`), reason: roster.UnknownType},
	{what: "type a digit", payload: with("type", `"1"`), reason: roster.UnknownType},
	{what: "long type", payload: with("type", `"`+strings.Repeat("\U0001F600", 9999)+`"`), reason: roster.UnknownType, says: "…"},
	{what: "hostile type", payload: with("type", `"`+strings.Repeat(`\u0007\r\n`, 99)+`"`), reason: roster.UnknownType, says: `\a\r\n`},

	// Names.
	{what: "machine of 256 bytes", payload: with("machine", `"`+strings.Repeat("m", 256)+`"`), reason: roster.BadName, says: "machine: 256 bytes, at most 255"},
	{what: "user of 256 bytes", payload: with("user", `"`+strings.Repeat("é", 128)+`"`), reason: roster.BadName, says: "user: 256 bytes, at most 255"},
	{what: "session of 256 bytes", payload: with("session", `"`+strings.Repeat("s", 256)+`"`), reason: roster.BadName, says: "session: 256 bytes"},
	{what: "terminal of 256 bytes", payload: with("terminal", `"`+strings.Repeat("t", 256)+`"`), reason: roster.BadName, says: "terminal: 256 bytes"},
	{what: "remote of 256 bytes", payload: with("remote", `"`+strings.Repeat("r", 256)+`"`), reason: roster.BadName, says: "remote: 256 bytes"},
	{what: "service of 256 bytes", payload: with("service", `"`+strings.Repeat("s", 256)+`"`), reason: roster.BadName, says: "service: 256 bytes"},
	{what: "NUL", payload: with("user", `"lane\u0000"`), reason: roster.BadName, says: "user: control character U+0000 at byte 4"},
	{what: "line feed", payload: with("machine", `"a\nb"`), reason: roster.BadName, says: "machine: control character U+000A at byte 1"},
	{what: "tab", payload: with("session", `"\t"`), reason: roster.BadName, says: "session: control character U+0009 at byte 0"},
	{what: "last of C0", payload: with("user", `"\u001f"`), reason: roster.BadName, says: "U+001F"},
	{what: "DEL", payload: with("terminal", "\"a\x7f\""), reason: roster.BadName, says: "terminal: control character U+007F at byte 1"},
	{what: "first of C1", payload: with("remote", "\"é\u0080\""), reason: roster.BadName, says: "remote: control character U+0080 at byte 2"},
	{what: "next line", payload: with("service", "\"\u0085\""), reason: roster.BadName, says: "service: control character U+0085"},
	{what: "last of C1", payload: with("user", "\"\u009f\""), reason: roster.BadName, says: "U+009F"},
	{what: "Arabic letter mark", payload: with("user", "\"\u061c\""), reason: roster.BadName, says: "U+061C"},
	{what: "left-to-right mark", payload: with("user", "\"a\u200e\""), reason: roster.BadName, says: "user: invisible character U+200E at byte 1"},
	{what: "right-to-left mark", payload: with("user", "\"\u200f\""), reason: roster.BadName, says: "U+200F"},
	{what: "embedding", payload: with("user", "\"\u202a\""), reason: roster.BadName, says: "U+202A"},
	{what: "override", payload: with("machine", "\"nimda\u202e\""), reason: roster.BadName, says: "machine: invisible character U+202E at byte 5"},
	{what: "first isolate", payload: with("user", "\"\u2066\""), reason: roster.BadName, says: "U+2066"},
	{what: "last isolate", payload: with("user", "\"\u2069\""), reason: roster.BadName, says: "U+2069"},
	{what: "zero-width space", payload: with("user", `"la\u200bne"`), reason: roster.BadName, says: "user: invisible character U+200B at byte 2"},
	{what: "zero-width non-joiner", payload: with("user", "\"\u200c\""), reason: roster.BadName, says: "U+200C"},
	{what: "zero-width joiner", payload: with("user", "\"\u200d\""), reason: roster.BadName, says: "U+200D"},
	{what: "word joiner", payload: with("user", "\"\u2060\""), reason: roster.BadName, says: "U+2060"},
	{what: "byte-order mark in a name", payload: with("user", "\"\ufefflane\""), reason: roster.BadName, says: "user: invisible character U+FEFF at byte 0"},
	{what: "line separator", payload: with("user", "\"\u2028\""), reason: roster.BadName, says: "U+2028"},
	{what: "paragraph separator", payload: with("user", "\"\u2029\""), reason: roster.BadName, says: "U+2029"},
	{what: "tag", payload: with("user", "\"\U000e0041\""), reason: roster.BadName, says: "U+E0041"},
	{what: "a lone space", payload: with("user", `" "`), reason: roster.BadName, says: "user: nothing but white space"},
	{what: "spaces for a machine", payload: with("machine", `"          "`), reason: roster.BadName, says: "machine: nothing but white space"},
	{what: "other white space", payload: with("user", "\" \u00a0\u1680\u2003\u202f\u205f\u3000\""), reason: roster.BadName, says: "user: nothing but white space"},
	{what: "a blank in an entry", payload: present(`[{"user":" "}]`), reason: roster.BadName, says: "sessions[0].user: nothing but white space"},
	{what: "Hangul filler", payload: with("user", "\"\u3164\""), reason: roster.BadName, says: "user: invisible character U+3164 at byte 0"},
	{what: "soft hyphen", payload: with("user", "\"la\u00adne\""), reason: roster.BadName, says: "user: invisible character U+00AD at byte 2"},
	{what: "bad user of a logout", payload: with("type", `"logout"`, "user", `"\u0007"`, "session", `"1"`), reason: roster.BadName, says: "user: "},
	{what: "bad user of an entry", payload: present(`[{"user":"a"},{"user":"b\u0000"}]`), reason: roster.BadName, says: "sessions[1].user: control character U+0000 at byte 1"},
	{what: "long session of an entry", payload: present(`[{"user":"a","session":"` + strings.Repeat("s", 256) + `"}]`), reason: roster.BadName, says: "sessions[0].session: 256 bytes"},
	{what: "bad service of an entry", payload: present("[{\"user\":\"a\",\"service\":\"\u200b\"}]"), reason: roster.BadName, says: "sessions[0].service: "},

	// The order of the reasons, whatever the order of the keys.
	{what: "malformed before missing", payload: `{"user":1,"type":"login"}`, reason: roster.Malformed},
	{what: "malformed at the end before all else", payload: with("date", "", "type", `"x"`, "machine", `"\u0000"`) + "x", reason: roster.Malformed},
	{what: "twice before missing", payload: with("date", "", "type", `"present"`, "sessions", `[{"user":"a"},{"user":"a"}]`), reason: roster.Malformed},
	{what: "missing before unknown type", payload: with("date", "", "type", `"x"`), reason: roster.MissingField},
	{what: "missing machine before unknown type", payload: with("machine", "", "type", `"x"`), reason: roster.MissingField},
	{what: "missing user before bad date", payload: with("date", `"x"`, "user", ""), reason: roster.MissingField, says: "user"},
	{what: "missing user of an entry before bad date", payload: with("type", `"present"`, "date", `"x"`, "sessions", `[{"since":"x"}]`), reason: roster.MissingField},
	{what: "unknown type before bad date", payload: with("type", `"x"`, "date", `"x"`), reason: roster.UnknownType},
	{what: "unknown type, user not judged", payload: with("type", `"x"`, "user", `5`), reason: roster.UnknownType},
	{what: "missing type, user not judged", payload: with("type", "", "user", `5`), reason: roster.MissingField, says: "type"},
	{what: "unknown type before bad name", payload: with("machine", `"\u0000"`, "type", `"x"`), reason: roster.UnknownType},
	{what: "bad date before bad name", payload: with("machine", `"\u0000"`, "date", `"x"`), reason: roster.BadDate},
	{what: "the first of two bad dates", payload: present(`[{"user":"a"},{"user":"b","since":"x"},{"user":"c","since":"y"}]`), reason: roster.BadDate, says: `sessions[1].since: "x"`},
	{what: "bad since before bad name", payload: with("machine", `"\u0000"`, "type", `"present"`, "sessions", `[{"user":"a","since":"x"}]`), reason: roster.BadDate},
	{what: "bad name before identity", subject: "rollcall.events.x", payload: with("user", `"\u0000"`), reason: roster.BadName},
	{what: "bad date before identity", subject: "other", payload: with("date", `"x"`), reason: roster.BadDate},

	// Size.
	{what: "a byte too long", payload: padded(rollcallv1.MaxPayload + 1), reason: roster.Oversize, says: "payload: 262145 bytes, at most 262144"},
	{what: "too long and no JSON", payload: strings.Repeat("x", 300<<10), reason: roster.Oversize},
	{what: "too long and a wrong content type", contentType: "text/plain", payload: padded(300 << 10), reason: roster.Oversize},

	// Content types.
	{what: "text/plain", contentType: "text/plain", payload: good, reason: roster.Malformed, says: `Content-Type: "text/plain", which is neither JSON nor protobuf`},
	{what: "text/json", contentType: "text/json", payload: good, reason: roster.Malformed, says: `"text/json"`},
	{what: "JSON lines", contentType: "application/x-ndjson", payload: good, reason: roster.Malformed},
	{what: "JSON of another kind", contentType: "application/cloudevents+json", payload: good, reason: roster.Malformed},
	{what: "no content type", contentType: "json", payload: good, reason: roster.Malformed},
	{what: "blank content type", contentType: " ", payload: good, reason: roster.Malformed},
	{what: "bad parameter", contentType: "application/json; charset", payload: good, reason: roster.Malformed},
	{what: "hostile content type", contentType: "a\r\nB: " + strings.Repeat("\x00", 999), payload: good, reason: roster.Malformed, says: `"a\r\nB: `},
	{what: "JSON said to be protobuf", contentType: "application/protobuf", payload: good, reason: roster.Malformed, says: "byte "},

	// Identity.
	{what: "another machine", subject: "rollcall.events.web", payload: good, reason: roster.Identity, says: `machine: "m.example.com" in the payload, "web" in the subject`},
	{what: "another letter case", subject: "rollcall.events.M.example.com", payload: good, reason: roster.Identity},
	{what: "a part of the name", subject: "rollcall.events.m.example", payload: good, reason: roster.Identity},
	{what: "more than the name", subject: "rollcall.events.m.example.com.x", payload: good, reason: roster.Identity},
	{what: "escaped without need", subject: "rollcall.events.m%2Eexample.com", payload: good, reason: roster.Identity, says: "want"},
	{what: "escaped in lower case", subject: "rollcall.events.%2e", payload: with("machine", `"."`), reason: roster.Identity, says: "want"},
	{what: "not escaped", subject: "rollcall.events.é", payload: with("machine", `"é"`), reason: roster.Identity, says: "want"},
	{what: "escape cut short", subject: "rollcall.events.a%2", payload: with("machine", `"a%2"`), reason: roster.Identity, says: "two digits"},
	{what: "no escape", subject: "rollcall.events.a%zz", payload: with("machine", `"a%zz"`), reason: roster.Identity, says: "two digits"},
	{what: "decoded name with a control character", subject: "rollcall.events.m%0Aexample.com", payload: good, reason: roster.Identity},
	{what: "no machine", subject: "rollcall.events.", payload: good, reason: roster.Identity, says: "no machine"},
	{what: "not an events subject", subject: "rollcall.reports", payload: good, reason: roster.Identity, says: "not below rollcall.events"},
	{what: "only the same beginning", subject: "rollcall.eventsm.example.com", payload: good, reason: roster.Identity},
	{what: "another base", subject: "other.events.m.example.com", payload: good, reason: roster.Identity},
	{what: "long subject", subject: "rollcall.events." + strings.Repeat("é", 2000), payload: good, reason: roster.Identity, says: "…"},
}

// entries are n good entries of present.
func entries(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"user":"u%d","session":"s%d"}`, i, i)
	}
	return strings.Join(list, ",")
}

// padded is a good login of so many bytes.
func padded(size int) string {
	return good + strings.Repeat(" ", size-len(good))
}

func TestRefused(t *testing.T) {
	cases := slices.Concat(refusedJSON, refusedProtobuf)
	for text, problem := range badDates {
		value, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(
			cases,
			refused{what: "date " + text, payload: with("date", string(value)), reason: roster.BadDate, says: problem},
			refused{
				what: "since " + text, payload: present(`[{"user":"a"},{"user":"b","since":` + string(value) + `}]`),
				reason: roster.BadDate, says: "sessions[1].since: ",
			},
		)
	}
	t.Logf("%d cases", len(cases))
	d := NewDecoder(testSubjects(t))
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			e := roster.Event{Machine: "left", Sessions: make([]roster.Session, 3)}
			refusal := d.Decode(c.subject, c.contentType, []byte(c.payload), &e)
			if refusal == nil {
				t.Fatalf("accepted as %+v, want %s", e, c.reason)
			}
			if refusal.Reason != c.reason || !strings.Contains(refusal.Problem, c.says) {
				t.Errorf("%v\nwant %s, saying %q", refusal, c.reason, c.says)
			}
			presentable(t, refusal)
			sameEvent(t, &e, &roster.Event{})
		})
	}
}
