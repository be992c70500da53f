package web_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/web"
)

// The machines of the roster that the golden pages show.
const (
	web1    = "web1.fra.example.com" // several users
	web2    = "web2.fra.example.com" // one
	free    = "db1.muc.example.com"
	silent  = "db2.muc.example.com" // with a user
	quiet   = "db3.muc.example.com" // silent, with nobody
	crowded = "jump1"
	lacking = "miss1.example.com" // some of its events never arrived
	later   = "lab9"              // first heard from in the afternoon
	evil    = `<b title="x'&y">`
	script  = `"><script>alert(1)</script>`
	formula = `=HYPERLINK("x")`
)

var long = "long-" + strings.Repeat("näme-", 40) + "1234567890"

// heard is the last event of a machine that is not silent: those who are on.
func heard(machine string, sessions ...roster.Session) roster.Event {
	return roster.Event{Date: roster.TimeOf(at("21:12")), Type: roster.Present, Machine: machine, Sessions: sessions}
}

func session(user, id, remote string) roster.Session {
	s := roster.Session{User: user, ID: id, Remote: remote}
	if remote != "" {
		s.Terminal, s.Service = "pts/"+id, "sshd"
	}
	return s
}

// fill folds the events of the roster that the golden pages show.
func (w *world) fill() {
	const morning = "21 19:30"
	for _, name := range []string{web1, web2, free, silent, quiet, crowded, "app1.fra.example.com", "app2.fra.example.com", "app3.fra.example.com", evil, long, "日本語"} {
		w.fold(boots(morning, name))
	}
	w.fold(
		// web1: kim came and went before, and has come again.
		from("21 20:00", web1, "kim", "7", "10.0.0.7"), event("21 23:30:30", roster.Logout, web1, "kim", "7"),
		login("08:00", web1, "svc-backup"),
		from("09:30", web1, "anna", "2", "10.0.0.8"),
		from("12:09", web1, "kim", "1", "10.0.0.7"),
		heard(web1, session("anna", "2", "10.0.0.8"), session("kim", "1", "10.0.0.7"), session("svc-backup", "", "")),

		login("10:02:03", web2, "anna"), heard(web2, session("anna", "", "")),

		login("11:00", free, "kim"), logout("14:02", free, "kim"), heard(free),
		login("20:32:06", silent, "kim"),
		login("10:10", quiet, "ola"), logout("19:00", quiet, "ola"),
	)
	var users []roster.Session
	for i, user := range []string{"anna", "ben", "cleo", "dora", "emil", "svc-backup", "root"} {
		w.fold(login(fmt.Sprintf("%02d:15", 6+i), crowded, user))
		users = append(users, session(user, "", ""))
	}
	w.fold(heard(crowded, users...))
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("app%d.fra.example.com", i)
		w.fold(login(fmt.Sprintf("07:0%d", i), name, "anna"), login(fmt.Sprintf("05:0%d", i), name, "svc-backup"))
		w.fold(heard(name, session("anna", "", ""), session("svc-backup", "", "")))
	}
	first, fifth := login("13:00", lacking, "root"), heard(lacking, session("root", "", ""))
	first.Origin, first.Number = "agent-1", 1
	fifth.Origin, fifth.Number = "agent-1", 5
	w.fold(
		first, fifth,
		boots("15:00", later), heard(later),
		login("16:20", evil, script), login("16:21", evil, formula), heard(evil, session(script, "", ""), session(formula, "", "")),
		login("16:30", long, long), heard(long, session(long, "", "")),
		login("16:40", "日本語", "σοφία"), heard("日本語", session("σοφία", "", "")),
	)
}

// lossy folds events among which some were lost: of old1 nothing is known since.
func (w *world) lossy() {
	w.fold(boots("20 08:00", "old1"), login("21 09:00", "old1", "ola"))
	w.lose(roster.Deleted)
	w.fold(login("21 19:00", "old1", "pia"))
	w.fold(boots("21 19:30", "new1"), login("20:00", "new1", "kim"), heard("new1", session("kim", "", "")))
	w.fold(login("21:00", "old1", "pia"))
	// old2 is first heard from after the loss: what it had told is lost.
	w.fold(login("20:00", "old2", "rob"), logout("21:05", "old2", "rob"))
	w.fold(login("21:01", "old1", "ola"))
}

// sites are the pages that several tests look at.
type sites struct {
	full, lossy, empty *site
}

func openSites(t testing.TB) *sites {
	t.Helper()
	server := kit.StartServer(t)
	full, lossy, empty := newWorld(t, server), newWorld(t, server), newWorld(t, server)
	full.fill()
	full.letter(web1, "bad_date", `date: "tomorrow" is no date: give RFC 3339`, at("20:00"))
	full.letter(web1, "bad_date", `date: "today" is no date: give RFC 3339`, at("20:30"))
	full.letter(evil, "late", `<i>too late</i>`, at("19:30"))
	lossy.lossy()
	expected := func(c *web.Config) {
		c.Expected = func() []string { return []string{web1, "lab7.example.com", "lab 8"} }
	}
	return &sites{full.open(expected), lossy.open(), empty.open(expected)}
}
