// Package api has the JSON of rollcall's questions, answers, reports and changes as
// Go types. It is all that a program needs to know of the service that it asks.
//
// The messages of proto/rollcall/v1 are the contract; each type here has the fields
// of the message of its name, which a test checks.
//
// A [Report] too large for one message comes in pages. A machine whose users do not
// fit on one page continues at the beginning of the next, with the same name and heard:
// [Join] puts pages, and such a machine, together again. [Text] writes a report as
// people read it.
package api
