package wire

import (
	"testing"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
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

// sample is an encoded event and its subject.
type sample struct {
	subject string
	payload []byte
}

// samples returns a thousand logins with all the details that an event may have.
func samples(t testing.TB, encode func([]byte, *roster.Event) []byte) []sample {
	f := kit.NewFleet(1, kit.Mixed, 10_000)
	list := make([]sample, 1000)
	var m roster.Message
	for i := range list {
		f.Next(&m)
		s := &m.Event.Session
		s.Terminal, s.Remote, s.Service = "pts/0", "10.20.30.40", "sshd"
		list[i] = sample{testSubjects(t).EventsOf(m.Event.Machine), encode(nil, &m.Event)}
	}
	return list
}

// BenchmarkDecode decodes JSON and protobuf and, for comparison, decodes the same
// JSON by reflection into a struct, without checks.
func BenchmarkDecode(b *testing.B) {
	b.Run("json", func(b *testing.B) { decodeAll(b, samples(b, AppendJSON)) })
	b.Run("protobuf", func(b *testing.B) { decodeAll(b, samples(b, AppendProtobuf)) })
	b.Run("library", func(b *testing.B) {
		list := samples(b, AppendJSON)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
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
			if err := json.Unmarshal(list[i%len(list)].payload, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func decodeAll(b *testing.B, list []sample) {
	d, e := NewDecoder(testSubjects(b)), new(roster.Event)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l := &list[i%len(list)]
		if refusal := d.Decode(l.subject, "", l.payload, e); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, encode := range map[string]func([]byte, *roster.Event) []byte{"json": AppendJSON, "protobuf": AppendProtobuf} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = encode(buf[:0], &realEvent)
			}
		})
	}
}
