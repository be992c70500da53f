// Package api has the JSON of rollcall's questions, answers, reports and changes as
// Go types. A client of the service needs nothing else of it.
//
// The messages of proto/rollcall/v1 are the contract; each type here has the fields
// of the message of the same name, which a test checks.
//
// A [Report] too large for one message is split into pages. A machine whose users do
// not fit on one page continues at the beginning of the next, with the same name and
// heard; [Join] joins pages, and such machines, again. [Text] writes a report as text
// for people.
package api
