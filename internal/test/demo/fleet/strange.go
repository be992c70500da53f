package fleet

import (
	"strings"
	"time"

	"rollcall/internal/roster"
)

// strange is a machine whose name is unusual, and users who are on.
type strange struct {
	name  string
	users []string
}

var strangeMachines = []strange{
	{"сервер-01.москва.example", []string{"Иван Петров", "Ольга Кузнецова"}},
	{"端末-0001.東京.example", []string{"山田太郎", "佐藤花子"}},
	{"工作站-7.上海.example", []string{"王小明"}},
	{"서버-3.서울.example", []string{"김민준"}},
	{"مكتب-١.القاهرة.example", []string{"أحمد علي", "anna.adler"}},
	{"שרת-2.תל-אביב.example", []string{"דוד כהן"}},
	{"เครื่อง-9.กรุงเทพ.example", []string{"สมชาย"}},
	{"λάμδα.αθήνα.example", []string{"Γιώργος", "ΓΙΏΡΓΟΣ"}},
	{"straße-ß.münchen.example", []string{"Jürgen Weiß", "jürgen weiss"}},
	{"i̇stanbul-İI.example", []string{"ırmak", "IRMAK"}},
	{"e\u0301-kombiniert.example", []string{"Zoe\u0308", "Zoë"}},
	{"\U0001F5A5-lab.example", []string{"\U0001F469\U0001F3FD", "kim \U0001F680"}},
	{"..", []string{".", ".."}},
	{".", []string{"anna.adler"}},
	{".hidden.example.com", []string{".profile"}},
	{"trailing.example.com.", []string{"anna."}},
	{"two..dots.example.com", []string{"a..b"}},
	{"back room/printer 2", []string{"a b", "a  b"}},
	{"CORP\\WS-17", []string{"CORP\\anna", "anna@corp.example", "CORP\\Anna"}},
	{"%2E%2e%00.example", []string{"100%", "%s%d%n"}},
	{"a?q=1&at=now#top.example", []string{"?at=", "#", "&amp;"}},
	{"<script>alert(1)</script>", []string{"<b>bold</b>", "</td><script>alert(2)</script>"}},
	{"\"><img src=x onerror=alert(1)>", []string{"'\"><svg onload=alert(1)>", "O'Brien"}},
	{"{{.}}.${7*7}.example", []string{"{{constructor}}", "${jndi:ldap://x}", "`id`"}},
	{"javascript:alert(1)", []string{"javascript:alert(1)"}},
	{"=HYPERLINK(\"http://x.example\")", []string{"=cmd|'/C calc'!A0", "+1+1", "-1", "@SUM(A1)"}},
	{"*", []string{"*", "?", "[a-z]"}},
	{">", []string{">", "-", "--help"}},
	{"__proto__", []string{"__proto__", "constructor", "hasOwnProperty"}},
	{"null", []string{"null", "undefined", "NaN", "true", "0"}},
	{"user:anna", []string{"machine:*", "-word", "remote:10.0.0.1"}},
	{"KIOSK01", []string{"kiosk"}},
	{"KIOSK02", []string{"kiosk"}},
	{"KIOSK12", nil},
	{"kiosk01", []string{"Kiosk"}},
	{"x", []string{"y"}},
	{strings.Repeat("w", 255), []string{strings.Repeat("m", 255), strings.Repeat("i", 255)}},
	{strings.Repeat("長", 85), []string{strings.Repeat("名", 85)}},
	{strings.Repeat("very-long-label-", 4) + "1." + strings.Repeat("sub.", 40) + "example.com", []string{"first.middle.last.of-a-very-long-family-name." + strings.Repeat("and-", 20) + "so-on"}},
	{"many-people.example.com", manyUsers()},
}

// manyUsers are more than a row of a table has room for.
func manyUsers() (all []string) {
	for who := range 250 {
		all = append(all, user(who*3))
	}
	return all
}

// strange are the stays on a strange machine: each user is on for a while, and most still are.
func (d *day) strange() {
	for i := range strangeMachines[d.machine-d.f.Machines].users {
		begin := -time.Duration(1+d.r.IntN(9*60)) * time.Minute
		s := stay{begin: begin, end: time.Hour, who: int32(i)}
		if i > 0 && d.chance(0.15) {
			s.end = begin / 2
		}
		d.add(s)
	}
}

// strangeSession describes the session of a login. The details of some are as long as
// they may be.
func (f *Fleet) strangeSession(e entry) roster.Session {
	users := strangeMachines[int(e.machine)-f.Machines].users
	s := roster.Session{User: users[e.who], ID: "c" + users[e.who], Remote: "2001:db8::" + string('a'+e.who%6), Service: "sshd", Terminal: "pts/0"}
	if len(s.ID) > 255 {
		s.ID = s.ID[1:]
		s.Terminal, s.Remote, s.Service = strings.Repeat("t", 255), strings.Repeat("r", 255), strings.Repeat("s", 255)
	}
	return s
}
