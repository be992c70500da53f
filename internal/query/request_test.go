package query

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/test/kit"
)

func TestBadRequests(t *testing.T) {
	nc := serve(t, source(kit.Seed()))
	good := cursor{first: "a"}.String()
	for request, want := range map[string]string{
		``:                              "",
		` `:                             "",
		`{}`:                            "",
		`{"cursor":"` + good + `"}`:     "",
		`{"limit":1,"cursor":null}`:     "",
		`{"limit":4294967295}`:          "",
		`null`:                          "request: ",
		`[]`:                            "request: ",
		`"x"`:                           "request: ",
		`{`:                             "request: ",
		`{} {}`:                         "request: ",
		"\x00":                          "request: ",
		"{\"limit\":\xff}":              "request: ",
		`{"limit":1,"limit":2}`:         "limit",
		`{"limit":0}`:                   "limit: ",
		`{"limit":-1}`:                  "limit: ",
		`{"limit":1.5}`:                 "limit: ",
		`{"limit":"1"}`:                 "limit: ",
		`{"limit":4294967296}`:          "limit: ",
		`{"Limit":1}`:                   `"Limit": `,
		`{"machine":"a"}`:               `"machine": `,
		"{\"a\\nb\":1}":                 `"a\nb": `,
		`{"cursor":1}`:                  "cursor: ",
		`{"cursor":"!"}`:                "cursor: ",
		`{"cursor":"YQ=="}`:             "cursor: ",
		`{"cursor":"YR"}`:               "cursor: ", // stray bits
		`{"cursor":"AA"}`:               "cursor: ", // no machine
		`{"cursor":"YQA"}`:              "cursor: ", // no user
		`{"cursor":"YQBiAGM"}`:          "cursor: ", // a third name
		`{"cursor":"_w"}`:               "cursor: ", // no UTF-8
		`{"cursor":"` + long(256) + `"`: "request: ",
		`{"cursor":"` + cursor{first: long(256)}.String() + `"}`:                    "cursor: ",
		`{"cursor":"` + cursor{first: "a", second: long(256)}.String() + `"}`:       "cursor: ",
		`{"cursor":"` + cursor{first: long(255), second: long(255)}.String() + `"}`: "",

		`{"` + long(1000) + `":1}`:                                    `"xxx`,
		`{"cursor":"` + strings.Repeat("A", 2000) + `","limit":null}`: "cursor: ",
		`{"cursor":"` + strings.Repeat("A", maxRequest) + `"}`:        "request: ",
	} {
		m, err := nc.Request(question1, []byte(request), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		code, description := m.Header.Get(micro.ErrorCodeHeader), m.Header.Get(micro.ErrorHeader)
		if want == "" {
			if description != "" {
				t.Errorf("%s: %s %s", request, code, description)
			}
			continue
		}
		if code != "400" || !strings.Contains(description, want) || len(description) > 300 {
			t.Errorf("%.50q: %s %q; want 400 and %q", request, code, description, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestCursor(t *testing.T) {
	for _, c := range []cursor{{}, {first: "a"}, {first: "a", second: "b"}, {`"\"`, "日本語", "c"}, {long(255), long(255), long(255)}} {
		s := c.String()
		if got, err := parseCursor(s, 3); err != nil || got != c {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, c)
		}
		if len(s) > maxCursor {
			t.Errorf("%q has %d bytes, more than %d", s, len(s), maxCursor)
		}
	}
}

// FuzzRequest: a request is either valid, or its error is valid in a header.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{``, `{}`, `{"limit":1,"cursor":"YQ"}`, `{"cursor":"YQBi"}`, `{"x":1}`, `[`, `{"limit":-1}`} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var q reportRequest
		err := decode(data, &q)
		if err == nil {
			err = q.check()
		}
		if err != nil {
			if bytes.ContainsAny([]byte(err.Error()), "\r\n") || len(err.Error()) > 1000 {
				t.Fatalf("%q is not valid in a header", err)
			}
			return
		}
		if again, err := parseCursor(q.after.String(), 3); err != nil || again != q.after || q.limit() < 1 {
			t.Fatalf("%+v, cursor %+v, %v", q, again, err)
		}
	})
}
