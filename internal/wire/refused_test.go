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

// refused is a payload, and the reason for which it is refused. problem is a part of
// the refusal's problem.
type refused struct {
	name                 string
	subject, contentType string
	payload              string
	reason               roster.Reason
	problem              string
}

// goodLogin are the keys of a valid login and their values, in JSON.
var goodLogin = [][2]string{
	{"date", `"2026-11-22T21:00:00Z"`}, {"type", `"login"`}, {"machine", `"m.example.com"`}, {"user", `"lane"`},
}

// with returns a valid login in JSON with some keys replaced, added or, where the value
// is empty, left out.
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

// present returns a valid present in JSON with these sessions.
func present(sessions string) string {
	return with("type", `"present"`, "user", "", "sessions", sessions)
}

var good = with()

var refusedJSON = []refused{
	// Not one JSON object.
	{name: "list", payload: `[]`, reason: roster.Malformed, problem: `"[]" is neither a JSON object nor protobuf`},
	{name: "list of events", payload: "[" + good + "]", reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "string", payload: `""`, reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "null", payload: `null`, reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "white space first, no content type", payload: " " + good, reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "line feed first, no content type", payload: "\n" + good, reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "tab first, no content type", payload: "\t" + good, reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "plain text", payload: "lane logged in", reason: roster.Malformed, problem: `"lane logged in" is neither`},
	{name: "said JSON, list", contentType: "application/json", payload: `[]`, reason: roster.Malformed, problem: "payload: a list, want one object"},
	{name: "said JSON, string", contentType: "application/json", payload: `""`, reason: roster.Malformed, problem: "a string, want one object"},
	{name: "said JSON, null", contentType: "application/json", payload: `null`, reason: roster.Malformed, problem: "null, want one object"},
	{name: "said JSON, number", contentType: "application/json", payload: `-1.5`, reason: roster.Malformed, problem: "a number, want one object"},
	{name: "said JSON, true", contentType: "application/json", payload: `true`, reason: roster.Malformed, problem: "true or false, want one object"},
	{name: "said JSON, empty", contentType: "application/json", payload: ``, reason: roster.Malformed, problem: "payload: empty"},
	{name: "said JSON, white space", contentType: "application/json", payload: " \t\r\n", reason: roster.Malformed, problem: "payload: empty"},
	{name: "said JSON, word", contentType: "application/json", payload: `hello`, reason: roster.Malformed, problem: "byte 0: "},
	{name: "said JSON, protobuf", contentType: "application/json", payload: "\x0a\x00\x10\x01", reason: roster.Malformed, problem: "byte "},
	{name: "UTF-16", contentType: "application/json", payload: "{\x00\"\x00d\x00", reason: roster.Malformed, problem: "byte 1: "},
	{name: "byte-order mark", payload: "\uFEFF" + good, reason: roster.Malformed, problem: "neither a JSON object nor protobuf"},
	{name: "said, byte-order mark", contentType: "application/json", payload: "\uFEFF" + good, reason: roster.Malformed, problem: "a byte-order mark"},
	{name: "byte-order mark inside", payload: "{\uFEFF" + good[1:], reason: roster.Malformed, problem: "byte 1: "},
	{name: "byte-order mark after", payload: good + "\uFEFF", reason: roster.Malformed, problem: "after the object"},

	// Syntax.
	{name: "open object", payload: `{`, reason: roster.Malformed, problem: "byte 1: the JSON ends too early"},
	{name: "truncated in a key", payload: good[:4], reason: roster.Malformed, problem: "byte 4: the JSON ends too early"},
	{name: "truncated in a value", payload: good[:15], reason: roster.Malformed, problem: "ends too early"},
	{name: "truncated after a comma", payload: `{"date":"2026-11-22T21:00:00Z",`, reason: roster.Malformed, problem: "ends too early"},
	{name: "last brace missing", payload: good[:len(good)-1], reason: roster.Malformed, problem: "ends too early"},
	{name: "comma at the end", payload: good[:len(good)-1] + ",}", reason: roster.Malformed, problem: "byte "},
	{name: "comma at the start", payload: "{," + good[1:], reason: roster.Malformed, problem: "byte "},
	{name: "two commas", payload: strings.Replace(good, ",", ",,", 1), reason: roster.Malformed, problem: "byte "},
	{name: "no comma", payload: strings.Replace(good, ",", " ", 1), reason: roster.Malformed, problem: "expecting ','"},
	{name: "no colon", payload: `{"date" "2026"}`, reason: roster.Malformed, problem: "expecting ':'"},
	{name: "no value", payload: `{"date":}`, reason: roster.Malformed, problem: "byte "},
	{name: "no key", payload: `{:1}`, reason: roster.Malformed, problem: "byte 1"},
	{name: "bare key", payload: `{date:"2026"}`, reason: roster.Malformed, problem: "byte 1: invalid character 'd'"},
	{name: "number as key", payload: `{1:2}`, reason: roster.Malformed, problem: "byte 1: a key that is not a string"},
	{name: "object as key", payload: `{{}:2}`, reason: roster.Malformed, problem: "byte 1: a key that is not a string"},
	{name: "single quotes", payload: `{'date':'2026'}`, reason: roster.Malformed, problem: `byte 1: `},
	{name: "comment", payload: `{/* */` + good[1:], reason: roster.Malformed, problem: "byte 1: "},
	{name: "wrong bracket", payload: good[:len(good)-1] + "]", reason: roster.Malformed, problem: "byte "},
	{name: "NaN", payload: with("load", "NaN"), reason: roster.Malformed, problem: "invalid character 'N'"},
	{name: "Infinity", payload: with("load", "-Infinity"), reason: roster.Malformed, problem: "byte "},
	{name: "number with a leading zero", payload: with("load", "01"), reason: roster.Malformed, problem: "byte "},
	{name: "number in hexadecimal", payload: with("load", "0x1"), reason: roster.Malformed, problem: "byte "},
	{name: "number ending in a point", payload: with("load", "1."), reason: roster.Malformed, problem: "byte "},
	{name: "True", payload: with("ok", "True"), reason: roster.Malformed, problem: "byte "},
	{name: "undefined", payload: with("user", "undefined"), reason: roster.Malformed, problem: "byte "},
	{name: "unknown key with bad syntax", payload: with("extra", "{]"), reason: roster.Malformed, problem: "byte "},
	{name: "too deep", payload: with("extra", strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)), reason: roster.Malformed, problem: "depth"},
	{name: "endless lists", payload: with("extra", strings.Repeat("[", 200_000)), reason: roster.Malformed, problem: "depth"},
	{name: "two objects", payload: good + good, reason: roster.Malformed, problem: "after the object"},
	{name: "two lines", payload: good + "\n" + good + "\n", reason: roster.Malformed, problem: "after the object"},
	{name: "brace after", payload: good + "}", reason: roster.Malformed, problem: `"}" after the object`},
	{name: "comma after", payload: good + ",", reason: roster.Malformed, problem: `"," after the object`},
	{name: "NUL after", payload: good + "\x00", reason: roster.Malformed, problem: `"\x00" after the object`},
	{name: "no-break space after", payload: good + "\u00a0", reason: roster.Malformed, problem: "after the object"},
	{name: "form feed after", payload: good + "\f", reason: roster.Malformed, problem: "after the object"},
	{name: "invalid UTF-8 after", payload: good + "\xff", reason: roster.Malformed, problem: `"\xff" after the object`},

	// Strings.
	{name: "invalid UTF-8 in a name", payload: with("user", "\"l\xffne\""), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "overlong UTF-8", payload: with("user", "\"\xc0\xaf\""), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "surrogate in UTF-8", payload: with("user", "\"\xed\xa0\x80\""), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "UTF-8 cut short", payload: with("user", "\"\xe2\x82\""), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "beyond Unicode", payload: with("user", "\"\xf4\x90\x80\x80\""), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "invalid UTF-8 in an unknown key", payload: with("x\xff", "1"), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "invalid UTF-8 in an unknown value", payload: with("x", "[\"\xff\"]"), reason: roster.Malformed, problem: "invalid UTF-8"},
	{name: "high surrogate alone", payload: with("user", `"\ud800"`), reason: roster.Malformed, problem: "invalid "},
	{name: "low surrogate alone", payload: with("user", `"\udc00"`), reason: roster.Malformed, problem: "invalid "},
	{name: "surrogates in the wrong order", payload: with("user", `"\udc00\ud800"`), reason: roster.Malformed, problem: "invalid "},
	{name: "high surrogate and a letter", payload: with("user", `"\ud800abcdef"`), reason: roster.Malformed, problem: "invalid "},
	{name: "bad escape", payload: with("user", `"\x41"`), reason: roster.Malformed, problem: "invalid escape"},
	{name: "escape cut short", payload: with("user", `"\u00"`), reason: roster.Malformed, problem: "invalid escape"},
	{name: "escape of a quote only", payload: with("user", `"\'"`), reason: roster.Malformed, problem: "invalid escape"},
	{name: "raw line feed", payload: with("user", "\"la\nne\""), reason: roster.Malformed, problem: "invalid character"},
	{name: "raw NUL", payload: with("user", "\"la\x00ne\""), reason: roster.Malformed, problem: "invalid character"},

	// Keys.
	{name: "key twice", payload: with("user", `"a","user":"a"`), reason: roster.Malformed, problem: `key "user" twice`},
	{name: "key twice by an escape", payload: with("\\u0075ser", `"b"`), reason: roster.Malformed, problem: `key "user" twice`},
	{name: "key twice, first null", payload: with("session", `null,"session":"1"`), reason: roster.Malformed, problem: `key "session" twice`},
	{name: "unknown key twice", payload: with("x", `1,"x":1`), reason: roster.Malformed, problem: `key "x" twice`},
	{name: "key twice in an unknown object", payload: with("x", `{"a":1,"a":1}`), reason: roster.Malformed, problem: `key "a" twice`},
	{name: "key twice in an entry", payload: present(`[{"user":"a","user":"b"}]`), reason: roster.Malformed, problem: `key "user" twice`},
	{name: "key twice among what does not belong", payload: with("sessions", `[{"user":"a","user":"b"}]`), reason: roster.Malformed, problem: `key "user" twice`},
	{name: "MACHINE", payload: with("machine", "", "MACHINE", `"m"`), reason: roster.Malformed, problem: `key "MACHINE", want "machine"`},
	{name: "Date", payload: with("date", "", "Date", `"2026-11-22T21:00:00Z"`), reason: roster.Malformed, problem: `key "Date", want "date"`},
	{name: "User beside user", payload: with("User", `"x"`), reason: roster.Malformed, problem: `key "User", want "user"`},
	{name: "null in the wrong case", payload: with("Session", `null`), reason: roster.Malformed, problem: `want "session"`},
	{name: "wrong case by an escape", payload: with("\\u0055ser", `"x"`), reason: roster.Malformed, problem: `key "User", want "user"`},
	{name: "wrong case with a long s", payload: with("u\u017fer", `"x"`), reason: roster.Malformed, problem: `key "uſer", want "user"`},
	{name: "wrong case of what does not belong", payload: with("Sessions", `[]`), reason: roster.Malformed, problem: `want "sessions"`},
	{name: "wrong case in an entry", payload: present(`[{"user":"a"},{"user":"b","Since":null}]`), reason: roster.Malformed, problem: `sessions[1]: key "Since", want "since"`},

	// Wrong JSON types.
	{name: "date a number", payload: with("date", "1795381200"), reason: roster.Malformed, problem: "date: a number, want a string"},
	{name: "date an object", payload: with("date", `{"seconds":1}`), reason: roster.Malformed, problem: "date: an object, want a string"},
	{name: "type a number", payload: with("type", "1"), reason: roster.Malformed, problem: "type: a number, want a string"},
	{name: "type a list", payload: with("type", `["login"]`), reason: roster.Malformed, problem: "type: a list, want a string"},
	{name: "machine false", payload: with("machine", "false"), reason: roster.Malformed, problem: "machine: true or false, want a string"},
	{name: "machine a number", payload: with("machine", "7"), reason: roster.Malformed, problem: "machine: a number, want a string"},
	{name: "user a number", payload: with("user", "1000"), reason: roster.Malformed, problem: "user: a number, want a string"},
	{name: "user a list", payload: with("user", `["lane"]`), reason: roster.Malformed, problem: "user: a list, want a string"},
	{name: "session a number", payload: with("session", "12"), reason: roster.Malformed, problem: "session: a number, want a string"},
	{name: "terminal an object", payload: with("terminal", "{}"), reason: roster.Malformed, problem: "terminal: an object, want a string"},
	{name: "remote true", payload: with("remote", "true"), reason: roster.Malformed, problem: "remote: true or false, want a string"},
	{name: "service a list", payload: with("service", "[]"), reason: roster.Malformed, problem: "service: a list, want a string"},
	{name: "user a number before the type", payload: `{"user":1,"machine":"m","date":"2026-11-22T21:00:00Z","type":"logout"}`, reason: roster.Malformed, problem: "user: a number"},
	{name: "sessions an object", payload: present(`{"user":"lane"}`), reason: roster.Malformed, problem: "sessions: an object, want a list"},
	{name: "sessions a number", payload: present(`5`), reason: roster.Malformed, problem: "sessions: a number, want a list"},
	{name: "sessions a string", payload: present(`"lane"`), reason: roster.Malformed, problem: "sessions: a string, want a list"},
	{name: "sessions an empty string", payload: present(`""`), reason: roster.Malformed, problem: "sessions: a string, want a list"},
	{name: "number a string", payload: with("origin", `"o"`, "number", `"1"`), reason: roster.Malformed, problem: "number: a string, want a whole number"},
	{name: "number with a fraction", payload: with("origin", `"o"`, "number", `1.5`), reason: roster.Malformed, problem: "number: a number, want a whole number from 1 to 18446744073709551615"},
	{name: "number negative", payload: with("origin", `"o"`, "number", `-1`), reason: roster.Malformed, problem: "number: a number, want a whole number"},
	{name: "origin a number", payload: with("origin", `1`, "number", `1`), reason: roster.Malformed, problem: "origin: a number, want a string"},
	{name: "every a number", payload: strings.Replace(present(`[]`), "{", `{"every":15,`, 1), reason: roster.Malformed, problem: "every: a number, want a string"},
	{name: "every without unit", payload: strings.Replace(present(`[]`), "{", `{"every":"15",`, 1), reason: roster.Malformed, problem: `every: "15" is not a number with a unit`},
	{name: "number without origin", payload: with("number", `1`), reason: roster.MissingField, problem: "origin: missing"},
	{name: "origin without number", payload: with("origin", `"o"`), reason: roster.MissingField, problem: "number: missing"},
	{name: "long origin", payload: with("origin", `"`+strings.Repeat("o", 65)+`"`, "number", `1`), reason: roster.BadName, problem: "origin: 65 bytes, at most 64"},
	{name: "invisible origin", payload: with("origin", `"\u200b"`, "number", `1`), reason: roster.BadName, problem: "origin: "},
	{name: "entry a string", payload: present(`["lane"]`), reason: roster.Malformed, problem: "sessions[0]: a string, want an object"},
	{name: "entry null", payload: present(`[{"user":"a"},null]`), reason: roster.Malformed, problem: "sessions[1]: null, want an object"},
	{name: "entry a list", payload: present(`[[]]`), reason: roster.Malformed, problem: "sessions[0]: a list, want an object"},
	{name: "user of an entry a number", payload: present(`[{"user":1}]`), reason: roster.Malformed, problem: "sessions[0].user: a number, want a string"},
	{name: "since a number", payload: present(`[{"user":"a"},{"user":"b","since":1}]`), reason: roster.Malformed, problem: "sessions[1].since: a number, want a string"},
	{name: "the first of two bad entries", payload: present(`[{"user":"a"},{"user":1},7]`), reason: roster.Malformed, problem: "sessions[1].user: a number"},
	{name: "remote of an entry an object", payload: present(`[{"user":"a","remote":{}}]`), reason: roster.Malformed, problem: "sessions[0].remote: an object"},

	// One entry for each session.
	{name: "session twice", payload: present(`[{"user":"a","session":"1"},{"user":"c"},{"user":"b","session":"1"}]`), reason: roster.Malformed, problem: `sessions[0] and sessions[2]: both session "1"`},
	{name: "user twice without session", payload: present(`[{"user":"a","session":"1"},{"user":"a"},{"user":"a","session":""}]`), reason: roster.Malformed, problem: `sessions[1] and sessions[2]: both user "a"`},
	{name: "user twice by an escape", payload: present(`[{"user":"a"},{"user":"\u0061","session":null}]`), reason: roster.Malformed, problem: `sessions[0] and sessions[1]`},
	{name: "session twice of many", payload: present("[" + entries(100) + `,{"user":"z","session":"s7"}]`), reason: roster.Malformed, problem: `sessions[7] and sessions[100]: both session "s7"`},
	{name: "user twice of many", payload: present(`[{"user":"a"},` + entries(40) + `,{"user":"a"}]`), reason: roster.Malformed, problem: `sessions[0] and sessions[41]: both user "a"`},

	// Missing.
	{name: "empty object", payload: `{}`, reason: roster.MissingField, problem: "date: missing"},
	{name: "unknown keys only", payload: `{"x":1}`, reason: roster.MissingField, problem: "date: missing"},
	{name: "no date", payload: with("date", ""), reason: roster.MissingField, problem: "date: missing"},
	{name: "date null", payload: with("date", "null"), reason: roster.MissingField, problem: "date: missing"},
	{name: "date empty", payload: with("date", `""`), reason: roster.MissingField, problem: "date: missing"},
	{name: "no type", payload: with("type", ""), reason: roster.MissingField, problem: "type: missing"},
	{name: "type null", payload: with("type", "null"), reason: roster.MissingField, problem: "type: missing"},
	{name: "type empty", payload: with("type", `""`), reason: roster.MissingField, problem: "type: missing"},
	{name: "no machine", payload: with("machine", ""), reason: roster.MissingField, problem: "machine: missing"},
	{name: "machine null", payload: with("machine", "null"), reason: roster.MissingField, problem: "machine: missing"},
	{name: "machine empty", payload: with("machine", `""`), reason: roster.MissingField, problem: "machine: missing"},
	{name: "login without user", payload: with("user", ""), reason: roster.MissingField, problem: "user: missing"},
	{name: "login with user null", payload: with("user", "null"), reason: roster.MissingField, problem: "user: missing"},
	{name: "login with user empty", payload: with("user", `""`), reason: roster.MissingField, problem: "user: missing"},
	{name: "login with session only", payload: with("user", "", "session", `"1"`), reason: roster.MissingField, problem: "user: missing"},
	{name: "logout without both", payload: with("type", `"logout"`, "user", ""), reason: roster.MissingField, problem: "user: missing"},
	{name: "logout with both empty", payload: with("type", `"logout"`, "user", `""`, "session", "null"), reason: roster.MissingField, problem: "user: missing"},
	{name: "boot without machine", payload: with("type", `"boot"`, "machine", ""), reason: roster.MissingField, problem: "machine: missing"},
	{name: "entry without user", payload: present(`[{"user":"a"},{}]`), reason: roster.MissingField, problem: "sessions[1].user: missing"},
	{name: "entries without user", payload: present(`[{},{}]`), reason: roster.MissingField, problem: "sessions[0].user: missing"},
	{name: "many entries without user", payload: present("[" + entries(20) + `,{},{},{}]`), reason: roster.MissingField, problem: "sessions[20].user: missing"},
	{name: "entry with session only", payload: present(`[{"session":"1"}]`), reason: roster.MissingField, problem: "sessions[0].user: missing"},
	{name: "entry with user null", payload: present(`[{"user":null,"session":"1"}]`), reason: roster.MissingField, problem: "sessions[0].user: missing"},

	// Types.
	{name: "unknown type", payload: with("type", `"reboot"`), reason: roster.UnknownType, problem: `type: "reboot"`},
	{name: "Login", payload: with("type", `"Login"`), reason: roster.UnknownType, problem: `type: "Login"`},
	{name: "protobuf's name", payload: with("type", `"EVENT_TYPE_LOGIN"`), reason: roster.UnknownType},
	{name: "type with a space", payload: with("type", `"login "`), reason: roster.UnknownType, problem: `type: "login "`},
	{name: "type unknown", payload: with("type", `"unknown"`), reason: roster.UnknownType},
	{name: "type a digit", payload: with("type", `"1"`), reason: roster.UnknownType},
	{name: "long type", payload: with("type", `"`+strings.Repeat("\U0001F600", 9999)+`"`), reason: roster.UnknownType, problem: "…"},
	{name: "hostile type", payload: with("type", `"`+strings.Repeat(`\u0007\r\n`, 99)+`"`), reason: roster.UnknownType, problem: `\a\r\n`},

	// Names.
	{name: "machine of 256 bytes", payload: with("machine", `"`+strings.Repeat("m", 256)+`"`), reason: roster.BadName, problem: "machine: 256 bytes, at most 255"},
	{name: "user of 256 bytes", payload: with("user", `"`+strings.Repeat("é", 128)+`"`), reason: roster.BadName, problem: "user: 256 bytes, at most 255"},
	{name: "session of 256 bytes", payload: with("session", `"`+strings.Repeat("s", 256)+`"`), reason: roster.BadName, problem: "session: 256 bytes"},
	{name: "terminal of 256 bytes", payload: with("terminal", `"`+strings.Repeat("t", 256)+`"`), reason: roster.BadName, problem: "terminal: 256 bytes"},
	{name: "remote of 256 bytes", payload: with("remote", `"`+strings.Repeat("r", 256)+`"`), reason: roster.BadName, problem: "remote: 256 bytes"},
	{name: "service of 256 bytes", payload: with("service", `"`+strings.Repeat("s", 256)+`"`), reason: roster.BadName, problem: "service: 256 bytes"},
	{name: "NUL", payload: with("user", `"lane\u0000"`), reason: roster.BadName, problem: "user: control character U+0000 at byte 4"},
	{name: "line feed", payload: with("machine", `"a\nb"`), reason: roster.BadName, problem: "machine: control character U+000A at byte 1"},
	{name: "tab", payload: with("session", `"\t"`), reason: roster.BadName, problem: "session: control character U+0009 at byte 0"},
	{name: "last of C0", payload: with("user", `"\u001f"`), reason: roster.BadName, problem: "U+001F"},
	{name: "DEL", payload: with("terminal", "\"a\x7f\""), reason: roster.BadName, problem: "terminal: control character U+007F at byte 1"},
	{name: "first of C1", payload: with("remote", "\"é\u0080\""), reason: roster.BadName, problem: "remote: control character U+0080 at byte 2"},
	{name: "next line", payload: with("service", "\"\u0085\""), reason: roster.BadName, problem: "service: control character U+0085"},
	{name: "last of C1", payload: with("user", "\"\u009f\""), reason: roster.BadName, problem: "U+009F"},
	{name: "Arabic letter mark", payload: with("user", "\"\u061c\""), reason: roster.BadName, problem: "U+061C"},
	{name: "left-to-right mark", payload: with("user", "\"a\u200e\""), reason: roster.BadName, problem: "user: invisible character U+200E at byte 1"},
	{name: "right-to-left mark", payload: with("user", "\"\u200f\""), reason: roster.BadName, problem: "U+200F"},
	{name: "embedding", payload: with("user", "\"\u202a\""), reason: roster.BadName, problem: "U+202A"},
	{name: "override", payload: with("machine", "\"nimda\u202e\""), reason: roster.BadName, problem: "machine: invisible character U+202E at byte 5"},
	{name: "first isolate", payload: with("user", "\"\u2066\""), reason: roster.BadName, problem: "U+2066"},
	{name: "last isolate", payload: with("user", "\"\u2069\""), reason: roster.BadName, problem: "U+2069"},
	{name: "zero-width space", payload: with("user", `"la\u200bne"`), reason: roster.BadName, problem: "user: invisible character U+200B at byte 2"},
	{name: "zero-width non-joiner", payload: with("user", "\"\u200c\""), reason: roster.BadName, problem: "U+200C"},
	{name: "zero-width joiner", payload: with("user", "\"\u200d\""), reason: roster.BadName, problem: "U+200D"},
	{name: "word joiner", payload: with("user", "\"\u2060\""), reason: roster.BadName, problem: "U+2060"},
	{name: "byte-order mark in a name", payload: with("user", "\"\ufefflane\""), reason: roster.BadName, problem: "user: invisible character U+FEFF at byte 0"},
	{name: "line separator", payload: with("user", "\"\u2028\""), reason: roster.BadName, problem: "U+2028"},
	{name: "paragraph separator", payload: with("user", "\"\u2029\""), reason: roster.BadName, problem: "U+2029"},
	{name: "tag", payload: with("user", "\"\U000e0041\""), reason: roster.BadName, problem: "U+E0041"},
	{name: "a lone space", payload: with("user", `" "`), reason: roster.BadName, problem: "user: only white space"},
	{name: "machine of spaces", payload: with("machine", `"          "`), reason: roster.BadName, problem: "machine: only white space"},
	{name: "other white space", payload: with("user", "\" \u00a0\u1680\u2003\u202f\u205f\u3000\""), reason: roster.BadName, problem: "user: only white space"},
	{name: "a blank in an entry", payload: present(`[{"user":" "}]`), reason: roster.BadName, problem: "sessions[0].user: only white space"},
	{name: "Hangul filler", payload: with("user", "\"\u3164\""), reason: roster.BadName, problem: "user: invisible character U+3164 at byte 0"},
	{name: "soft hyphen", payload: with("user", "\"la\u00adne\""), reason: roster.BadName, problem: "user: invisible character U+00AD at byte 2"},
	{name: "bad user of a logout", payload: with("type", `"logout"`, "user", `"\u0007"`, "session", `"1"`), reason: roster.BadName, problem: "user: "},
	{name: "bad user of an entry", payload: present(`[{"user":"a"},{"user":"b\u0000"}]`), reason: roster.BadName, problem: "sessions[1].user: control character U+0000 at byte 1"},
	{name: "long session of an entry", payload: present(`[{"user":"a","session":"` + strings.Repeat("s", 256) + `"}]`), reason: roster.BadName, problem: "sessions[0].session: 256 bytes"},
	{name: "bad service of an entry", payload: present("[{\"user\":\"a\",\"service\":\"\u200b\"}]"), reason: roster.BadName, problem: "sessions[0].service: "},

	// The order of the reasons, whatever the order of the keys.
	{name: "malformed before missing", payload: `{"user":1,"type":"login"}`, reason: roster.Malformed},
	{name: "malformed at the end before all others", payload: with("date", "", "type", `"x"`, "machine", `"\u0000"`) + "x", reason: roster.Malformed},
	{name: "twice before missing", payload: with("date", "", "type", `"present"`, "sessions", `[{"user":"a"},{"user":"a"}]`), reason: roster.Malformed},
	{name: "missing before unknown type", payload: with("date", "", "type", `"x"`), reason: roster.MissingField},
	{name: "missing machine before unknown type", payload: with("machine", "", "type", `"x"`), reason: roster.MissingField},
	{name: "missing user before bad date", payload: with("date", `"x"`, "user", ""), reason: roster.MissingField, problem: "user"},
	{name: "missing user of an entry before bad date", payload: with("type", `"present"`, "date", `"x"`, "sessions", `[{"since":"x"}]`), reason: roster.MissingField},
	{name: "unknown type before bad date", payload: with("type", `"x"`, "date", `"x"`), reason: roster.UnknownType},
	{name: "unknown type, user not judged", payload: with("type", `"x"`, "user", `5`), reason: roster.UnknownType},
	{name: "missing type, user not judged", payload: with("type", "", "user", `5`), reason: roster.MissingField, problem: "type"},
	{name: "unknown type before bad name", payload: with("machine", `"\u0000"`, "type", `"x"`), reason: roster.UnknownType},
	{name: "bad date before bad name", payload: with("machine", `"\u0000"`, "date", `"x"`), reason: roster.BadDate},
	{name: "the first of two bad dates", payload: present(`[{"user":"a"},{"user":"b","since":"x"},{"user":"c","since":"y"}]`), reason: roster.BadDate, problem: `sessions[1].since: "x"`},
	{name: "bad since before bad name", payload: with("machine", `"\u0000"`, "type", `"present"`, "sessions", `[{"user":"a","since":"x"}]`), reason: roster.BadDate},
	{name: "bad name before identity", subject: "rollcall.events.x", payload: with("user", `"\u0000"`), reason: roster.BadName},
	{name: "bad date before identity", subject: "other", payload: with("date", `"x"`), reason: roster.BadDate},

	// Size.
	{name: "a byte too long", payload: padded(rollcallv1.MaxPayload + 1), reason: roster.Oversize, problem: "payload: 262145 bytes, at most 262144"},
	{name: "too long and not JSON", payload: strings.Repeat("x", 300<<10), reason: roster.Oversize},
	{name: "too long and a wrong content type", contentType: "text/plain", payload: padded(300 << 10), reason: roster.Oversize},

	// Content types.
	{name: "text/plain", contentType: "text/plain", payload: good, reason: roster.Malformed, problem: `Content-Type: "text/plain", which is neither JSON nor protobuf`},
	{name: "text/json", contentType: "text/json", payload: good, reason: roster.Malformed, problem: `"text/json"`},
	{name: "JSON lines", contentType: "application/x-ndjson", payload: good, reason: roster.Malformed},
	{name: "JSON of another kind", contentType: "application/cloudevents+json", payload: good, reason: roster.Malformed},
	{name: "content type without a slash", contentType: "json", payload: good, reason: roster.Malformed},
	{name: "blank content type", contentType: " ", payload: good, reason: roster.Malformed},
	{name: "bad parameter", contentType: "application/json; charset", payload: good, reason: roster.Malformed},
	{name: "hostile content type", contentType: "a\r\nB: " + strings.Repeat("\x00", 999), payload: good, reason: roster.Malformed, problem: `"a\r\nB: `},
	{name: "JSON said to be protobuf", contentType: "application/protobuf", payload: good, reason: roster.Malformed, problem: "byte "},

	// Identity.
	{name: "another machine", subject: "rollcall.events.web", payload: good, reason: roster.Identity, problem: `machine: "m.example.com" in the payload, "web" in the subject`},
	{name: "another letter case", subject: "rollcall.events.M.example.com", payload: good, reason: roster.Identity},
	{name: "a part of the name", subject: "rollcall.events.m.example", payload: good, reason: roster.Identity},
	{name: "more than the name", subject: "rollcall.events.m.example.com.x", payload: good, reason: roster.Identity},
	{name: "escaped without need", subject: "rollcall.events.m%2Eexample.com", payload: good, reason: roster.Identity, problem: "want"},
	{name: "escaped in lower case", subject: "rollcall.events.%2e", payload: with("machine", `"."`), reason: roster.Identity, problem: "want"},
	{name: "not escaped", subject: "rollcall.events.é", payload: with("machine", `"é"`), reason: roster.Identity, problem: "want"},
	{name: "escape cut short", subject: "rollcall.events.a%2", payload: with("machine", `"a%2"`), reason: roster.Identity, problem: "two digits"},
	{name: "no escape", subject: "rollcall.events.a%zz", payload: with("machine", `"a%zz"`), reason: roster.Identity, problem: "two digits"},
	{name: "decoded name with a control character", subject: "rollcall.events.m%0Aexample.com", payload: good, reason: roster.Identity},
	{name: "no machine", subject: "rollcall.events.", payload: good, reason: roster.Identity, problem: "no machine"},
	{name: "not an events subject", subject: "rollcall.reports", payload: good, reason: roster.Identity, problem: "not below rollcall.events"},
	{name: "only the same beginning", subject: "rollcall.eventsm.example.com", payload: good, reason: roster.Identity},
	{name: "another base", subject: "other.events.m.example.com", payload: good, reason: roster.Identity},
	{name: "long subject", subject: "rollcall.events." + strings.Repeat("é", 2000), payload: good, reason: roster.Identity, problem: "…"},
}

// entries returns n valid entries of a present.
func entries(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"user":"u%d","session":"s%d"}`, i, i)
	}
	return strings.Join(list, ",")
}

// padded returns a valid login of this many bytes.
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
			refused{name: "date " + text, payload: with("date", string(value)), reason: roster.BadDate, problem: problem},
			refused{
				name: "since " + text, payload: present(`[{"user":"a"},{"user":"b","since":` + string(value) + `}]`),
				reason: roster.BadDate, problem: "sessions[1].since: ",
			},
		)
	}
	t.Logf("%d cases", len(cases))
	d := NewDecoder(testSubjects(t))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := roster.Event{Machine: "left", Sessions: make([]roster.Session, 3)}
			refusal := d.Decode(c.subject, c.contentType, []byte(c.payload), &e)
			if refusal == nil {
				t.Fatalf("accepted as %+v, want %s", e, c.reason)
			}
			if refusal.Reason != c.reason || !strings.Contains(refusal.Problem, c.problem) {
				t.Errorf("%v\nwant %s with %q", refusal, c.reason, c.problem)
			}
			checkPrintable(t, refusal)
			sameEvent(t, &e, &roster.Event{})
		})
	}
}
