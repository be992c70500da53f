package wire

import (
	"testing"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

const realSubject = "rollcall.events.web-0123.fra.example.com"

var realEvent = roster.Event{
	Date:    1_795_381_200_123_456_789,
	Type:    roster.Login,
	Machine: "web-0123.fra.example.com",
	Session: roster.Session{User: "j.smith42", ID: "c12", Terminal: "pts/0", Remote: "10.20.30.40", Service: "sshd"},
}

func testSubjects(t testing.TB) rollcallv1.Subjects {
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	return subjects
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name    string
		payload []byte
	}{
		{"json", AppendJSON(nil, &realEvent)},
		{"protobuf", AppendProtobuf(nil, &realEvent)},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, e := NewDecoder(testSubjects(b)), new(roster.Event)
			b.SetBytes(int64(len(c.payload)))
			b.ReportAllocs()
			for b.Loop() {
				if refusal := d.Decode(realSubject, "", c.payload, e); refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}

// BenchmarkLibrary decodes the JSON of BenchmarkDecode by reflection, without
// judging it: what Decode is measured against.
func BenchmarkLibrary(b *testing.B) {
	payload := AppendJSON(nil, &realEvent)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		var e struct {
			Date     string `json:"date"`
			Type     string `json:"type"`
			Machine  string `json:"machine"`
			User     string `json:"user"`
			Session  string `json:"session"`
			Terminal string `json:"terminal"`
			Remote   string `json:"remote"`
			Service  string `json:"service"`
		}
		if err := json.Unmarshal(payload, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var space []byte
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			space = AppendJSON(space[:0], &realEvent)
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			space = AppendProtobuf(space[:0], &realEvent)
		}
	})
}
