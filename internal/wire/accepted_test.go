package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// accepted is a payload and the event that it decodes to.
type accepted struct {
	name                 string
	subject, contentType string
	payload              string
	event                roster.Event
}

// login returns a valid login with changes.
func login(changes ...func(*roster.Event)) roster.Event {
	e := roster.Event{
		Date: 1_795_381_200e9, Type: roster.Login, Machine: "m.example.com",
		Session: roster.Session{User: "lane"},
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

func user(name string) func(*roster.Event)    { return func(e *roster.Event) { e.Session.User = name } }
func machine(name string) func(*roster.Event) { return func(e *roster.Event) { e.Machine = name } }
func dated(at roster.Time) func(*roster.Event) {
	return func(e *roster.Event) { e.Date = at }
}

// typed changes the type of a login, and sets the sessions of a present.
func typed(t roster.Type, sessions ...roster.Session) func(*roster.Event) {
	return func(e *roster.Event) {
		e.Type, e.Sessions = t, sessions
		if t != roster.Logout {
			e.Session = roster.Session{}
		}
	}
}

var acceptedJSON = []accepted{
	{name: "login", payload: good, event: login()},
	{name: "the seed's first", payload: `{"date": "2020-01-21 12:45:56", "type": "login", "machine": "myworkstation.local", "user": "jordan"}`, event: login(dated(1_579_610_756e9), machine("myworkstation.local"), user("jordan"))},
	{name: "a Windows logon", payload: with("user", `"THESHIRE.LOCAL\\WEC$"`, "session", `"0x149393c"`), event: login(user(`THESHIRE.LOCAL\WEC$`), func(e *roster.Event) { e.Session.ID = "0x149393c" })},
	{name: "all details", payload: with("session", `"1"`, "terminal", `"pts/0"`, "remote", `"10.0.0.7"`, "service", `"sshd"`), event: login(func(e *roster.Event) {
		e.Session = roster.Session{User: "lane", ID: "1", Terminal: "pts/0", Remote: "10.0.0.7", Service: "sshd"}
	})},
	{name: "type last", payload: `{"user":"lane","machine":"m.example.com","date":"2026-11-22T21:00:00Z","type":"login"}`, event: login()},
	{name: "logout", payload: with("type", `"logout"`), event: login(typed(roster.Logout))},
	{name: "logout of a session", payload: with("type", `"logout"`, "user", "", "session", `"1"`), event: login(typed(roster.Logout), user(""), func(e *roster.Event) { e.Session.ID = "1" })},
	{name: "a number", payload: with("origin", `"6f0c"`, "number", "18446744073709551615"), event: login(func(e *roster.Event) { e.Origin, e.Number = "6f0c", 1<<64-1 })},
	{name: "no number", payload: with("origin", `""`, "number", "0"), event: login()},
	{name: "null for a number", payload: with("origin", "null", "number", "null", "every", `{}`), event: login()},
	{name: "every of a present", payload: strings.Replace(present(`[]`), "{", `{"every":"15m",`, 1), event: login(typed(roster.Present), func(e *roster.Event) { e.Every = 15 * time.Minute })},
	{name: "every too often", payload: strings.Replace(present(`[]`), "{", `{"every":"59s",`, 1), event: login(typed(roster.Present))},
	{name: "every too seldom", payload: strings.Replace(present(`[]`), "{", `{"every":"24h1s",`, 1), event: login(typed(roster.Present))},
	{name: "every of a login", payload: with("every", `"15m"`), event: login()},
	{name: "boot", payload: with("type", `"boot"`, "user", ""), event: login(typed(roster.Boot))},
	{name: "shutdown", payload: with("type", `"shutdown"`, "user", ""), event: login(typed(roster.Shutdown))},
	{name: "present", payload: present(`[{"user":"a"},{"user":"a","session":"1"},{"user":"b","session":"2","since":"1970-01-01T00:00:01+00:00","terminal":"t","remote":"r","service":"s"}]`), event: login(typed(
		roster.Present, roster.Session{User: "a"}, roster.Session{User: "a", ID: "1"},
		roster.Session{User: "b", ID: "2", Since: 1e9, Terminal: "t", Remote: "r", Service: "s"},
	))},
	{name: "sessions before the type", payload: `{"sessions":[{"user":"a"}],"type":"present","machine":"m.example.com","date":"2026-11-22T21:00:00Z"}`, event: login(typed(roster.Present, roster.Session{User: "a"}))},
	{name: "a session's name like a user's", payload: present(`[{"user":"a"},{"user":"b","session":"a"}]`), event: login(typed(roster.Present, roster.Session{User: "a"}, roster.Session{User: "b", ID: "a"}))},
	{name: "nobody", payload: present(`[]`), event: login(typed(roster.Present))},
	{name: "sessions null", payload: present(`null`), event: login(typed(roster.Present))},
	{name: "no sessions", payload: with("type", `"present"`, "user", ""), event: login(typed(roster.Present))},

	// Absent, unknown, not belonging to the type.
	{name: "null and empty for optional keys", payload: with("session", "null", "terminal", `""`, "remote", "null", "service", `""`), event: login()},
	{name: "null and empty in an entry", payload: present(`[{"user":"a","session":null,"since":null,"terminal":"","remote":null,"service":""},{"user":"b","since":""}]`), event: login(typed(roster.Present, roster.Session{User: "a"}, roster.Session{User: "b"}))},
	{name: "unknown keys", payload: with("", `0`, "x", `{"date":[1,{"machine":null}]}`, "since", "7", "id", "-0.5e+10", "sess", "true"), event: login()},
	{name: "unknown keys in an entry", payload: present(`[{"user":"a","x":{"y":[]},"Machine":1,"DATE":2,"sessions":3}]`), event: login(typed(roster.Present, roster.Session{User: "a"}))},
	{name: "10,000 unknown keys", payload: with("x", `{`+manyKeys(10_000)+`}`), event: login()},
	{name: "deep, but not too deep", payload: with("x", strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000)), event: login()},
	{name: "sessions a number in a login", payload: with("sessions", "5"), event: login()},
	{name: "sessions of nonsense in a login", payload: with("sessions", `[null,{"User":1},{"user":"\u0000","since":"x"},{"user":"a"},{"user":"a"}]`), event: login()},
	{name: "user a number in a boot", payload: with("type", `"boot"`, "user", "5", "session", "{}", "terminal", `"\u0000"`), event: login(typed(roster.Boot))},
	{name: "user in a present", payload: with("type", `"present"`, "user", `"`+strings.Repeat("x", 256)+`"`), event: login(typed(roster.Present))},

	// Names.
	{name: "name of a byte", payload: with("user", `"a"`, "machine", `"b"`), event: login(user("a"), machine("b"))},
	{name: "names of 255 bytes", payload: with("user", `"`+strings.Repeat("u", 255)+`"`, "machine", `"`+strings.Repeat("é", 127)+`m"`), event: login(user(strings.Repeat("u", 255)), machine(strings.Repeat("é", 127)+"m"))},
	{name: "name of 255 bytes, escaped", payload: with("user", `"`+strings.Repeat(`\u0041`, 255)+`"`), event: login(user(strings.Repeat("A", 255)))},
	{name: "spaces around a name", payload: with("user", `" lane "`), event: login(user(" lane "))},
	{name: "forms of characters", payload: with("user", "\"葛\U000e0100❤\ufe0f\""), event: login(user("葛\U000e0100❤\ufe0f"))},
	{name: "spaces kept", payload: with("user", `" lane\u0020 "`), event: login(user(" lane  "))},
	{name: "letter case kept", payload: with("user", `"LaNe"`, "machine", `"WEB"`), event: login(user("LaNe"), machine("WEB"))},
	{name: "decomposed stays so", payload: with("user", `"e\u0301"`, "machine", "\"\u00e9\""), event: login(user("e\u0301"), machine("\u00e9"))},
	{name: "quotes and backslashes", payload: with("user", `"\"\\\/"`), event: login(user(`"\/`))},
	{name: "surrogate pair", payload: with("user", `"\ud83d\uDE00"`), event: login(user("\U0001F600"))},
	{name: "replacement character", payload: with("user", `"\ufffd`+"\uFFFD"+`"`), event: login(user("\uFFFD\uFFFD"))},
	{name: "neighbours of the hidden", payload: with("user", "\"\u00a0\u00ae\u061b\u061d\u200a\u2010\u2027\u202f\u205f\u2070\ufefe\uff00\uff9f\U000dffff\U000e1000\uffff\"", "machine", "\"\u07ff\u180a\u1810~ !\""), event: login(user("\u00a0\u00ae\u061b\u061d\u200a\u2010\u2027\u202f\u205f\u2070\ufefe\uff00\uff9f\U000dffff\U000e1000\uffff"), machine("\u07ff\u180a\u1810~ !"))},
	{name: "scripts", payload: with("user", `"Ольга 小林 عمر"`), event: login(user("Ольга 小林 عمر"))},
	{name: "keys by escapes", payload: with("user", "", `\u0075ser`, `"l\u0061ne"`), event: login()},

	// Around the object.
	{name: "white space after", payload: good + " \t\r\n", event: login()},
	{name: "white space inside", payload: strings.NewReplacer(",", "\r\n ,\t", ":\"", " : \n\"").Replace(good), event: login()},
	{name: "white space before, content type JSON", contentType: "application/json", payload: "\r\n\t " + good, event: login()},
	{name: "charset", contentType: "application/json; charset=utf-8", payload: good, event: login()},
	{name: "upper case content type", contentType: "APPLICATION/JSON ;x=y", payload: good, event: login()},
	{name: "as long as allowed", payload: padded(256 << 10), event: login()},

	// Subjects.
	{name: "subject of all", subject: "rollcall.events", payload: good, event: login()},
	{name: "subject of the machine", subject: "rollcall.events.m.example.com", payload: good, event: login()},
	{name: "escaped subject", subject: "rollcall.events.%2Ea%20b.%2E%C3%A9%25%2A%3E%2F", payload: with("machine", `".a b..é%*>/"`), event: login(machine(".a b..é%*>/"))},
	{name: "dots", subject: "rollcall.events.a.%2Eb%2E", payload: with("machine", `"a..b."`), event: login(machine("a..b."))},
}

// manyKeys returns n members of an object.
func manyKeys(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"k%d":1`, i)
	}
	return strings.Join(members, ",")
}

func TestAcceptedJSON(t *testing.T) {
	cases := acceptedJSON
	for text, at := range goodDates {
		cases = append(cases, accepted{name: text, payload: with("date", `"`+text+`"`), event: login(dated(at))})
		cases = append(cases, accepted{
			name: "since " + text, payload: present(`[{"user":"a","since":"` + text + `"}]`),
			event: login(typed(roster.Present, roster.Session{User: "a", Since: at})),
		})
	}
	d := NewDecoder(testSubjects(t))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// What the event contained before must be cleared.
			e := roster.Event{
				Date: 1, Type: roster.Present, Machine: "left", Session: roster.Session{User: "left", Since: 7},
				Sessions: []roster.Session{{User: "left", ID: "left", Since: 1, Terminal: "left"}, {User: "left"}},
			}
			if refusal := d.Decode(c.subject, c.contentType, []byte(c.payload), &e); refusal != nil {
				t.Fatalf("refused: %v", refusal)
			}
			sameEvent(t, &e, &c.event)
		})
	}
}
