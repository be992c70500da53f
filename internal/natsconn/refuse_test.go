package natsconn

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

func TestRefusedStreams(t *testing.T) {
	events := func(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
		c := jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}}
		change(&c)
		return c
	}
	const ours = "stream ROLLCALL_EVENTS: "
	for name, c := range map[string]struct {
		stream jetstream.StreamConfig
		says   []string
	}{
		"interest":    {events(func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }), []string{ours + "retention is interest", "ROLLCALL_STREAM"}},
		"work queue":  {events(func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }), []string{ours + "retention is workqueue"}},
		"no ack":      {events(func(c *jetstream.StreamConfig) { c.NoAck = true }), []string{ours + "no_ack is true"}},
		"per subject": {events(func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }), []string{ours + "max_msgs_per_subject is 5"}},
		"transform": {events(func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "rollcall.events.>", Destination: "x.>"}
		}), []string{ours + "subject_transform", `"rollcall.events.>" to "x.>"`}},
		"mirror":       {events(func(c *jetstream.StreamConfig) { c.Subjects, c.Mirror = nil, &jetstream.StreamSource{Name: "OTHER"} }), []string{ours + "mirror is OTHER", "use a source instead (nats stream add --source)"}},
		"one machine":  {events(func(c *jetstream.StreamConfig) { c.Subjects = []string{"rollcall.events.web"} }), []string{ours + `subjects is "rollcall.events.web"`, "rollcall.events and rollcall.events.>"}},
		"base only":    {events(func(c *jetstream.StreamConfig) { c.Subjects = []string{"rollcall.events"} }), []string{ours + "subjects", "doesn't capture rollcall.events.>"}},
		"elsewhere":    {events(func(c *jetstream.StreamConfig) { c.Subjects = []string{"logins"} }), []string{ours + "subjects", "rollcall.events and rollcall.events.>"}},
		"all of ours":  {events(func(c *jetstream.StreamConfig) { c.Subjects = []string{"rollcall.>"} }), []string{ours + `subject "rollcall.>" captures rollcall.query.> and rollcall.changes.>`, "ROLLCALL_SUBJECT"}},
		"also reports": {events(func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "rollcall.reports") }), []string{ours + `subject "rollcall.reports"`, "ROLLCALL_REPORTS"}},
		"also letters": {events(func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "rollcall.deadletters.7") }), []string{ours + `subject "rollcall.deadletters.7"`, "ROLLCALL_DEADLETTERS"}},

		"schedules": {events(func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = true }), []string{ours + "allow_msg_schedules is true", ours + "allow_rollup_hdrs is true", "recreate the stream"}},
		"rollups":   {events(func(c *jetstream.StreamConfig) { c.AllowRollup = true }), []string{ours + "allow_rollup_hdrs is true", "nats stream edit"}},
		"markers":   {events(func(c *jetstream.StreamConfig) { c.SubjectDeleteMarkerTTL = time.Second }), []string{ours + "allow_rollup_hdrs is true"}},
		"a source's transform": {events(func(c *jetstream.StreamConfig) {
			c.Sources = []*jetstream.StreamSource{{Name: "SITE", SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "site.>", Destination: "rollcall.events.>"}}}}
		}), []string{ours + "sources is SITE", `"site.>" to "rollcall.events.>"`}},
		"a source's partial transform": {events(func(c *jetstream.StreamConfig) {
			c.Subjects, c.Sources = nil, []*jetstream.StreamSource{{Name: "SITE", SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "rollcall.events.*", Destination: ""}}}}
		}), []string{ours + "sources is SITE", "want no transform"}},
		"a source's filter": {events(func(c *jetstream.StreamConfig) {
			c.Subjects, c.Sources = nil, []*jetstream.StreamSource{{Name: "SITE", Domain: "fra", FilterSubject: "rollcall.events.>"}}
		}), []string{ours + `sources is fra/SITE with the filter "rollcall.events.>"`, "want no filter"}},
		"letters from a source": {jetstream.StreamConfig{Name: "ROLLCALL_DEADLETTERS", Sources: []*jetstream.StreamSource{{Name: "SITE"}}}, []string{"stream ROLLCALL_DEADLETTERS: subjects is"}},
		"idle consumers":        {events(func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = 30 * time.Second }), []string{ours + "consumer_limits.inactive_threshold is 30s", "1m0s"}},
		"as changes": {events(func(c *jetstream.StreamConfig) {
			c.RePublish = &jetstream.RePublish{Source: "rollcall.events.*", Destination: "rollcall.changes.{{wildcard(1)}}"}
		}), []string{ours + `republish to "rollcall.changes.{{wildcard(1)}}" reaches rollcall.changes.>`}},
		"as requests": {events(func(c *jetstream.StreamConfig) {
			c.RePublish = &jetstream.RePublish{Source: "rollcall.events.>", Destination: "$JS.API.>"}
		}), []string{ours + `republish to "$JS.API.>" reaches $JS.>`}},
		"another's as reports": {jetstream.StreamConfig{Name: "R", Subjects: []string{"r.*"}, RePublish: &jetstream.RePublish{Source: "r.*", Destination: "rollcall.reports.$1"}}, []string{`stream R: republish to "rollcall.reports.$1" reaches rollcall.reports.>`}},

		"everything": {jetstream.StreamConfig{Name: "ALL", Subjects: []string{">"}, NoAck: true}, []string{`stream ALL: subject ">" captures rollcall.query.> and rollcall.changes.>`, "ROLLCALL_SUBJECT"}},
		"a query":    {jetstream.StreamConfig{Name: "Q", Subjects: []string{"fine", "rollcall.*.report"}}, []string{`stream Q: subject "rollcall.*.report" captures rollcall.query.> and rollcall.changes.>`}},
		"changes":    {jetstream.StreamConfig{Name: "C", Subjects: []string{"rollcall.changes.x"}}, []string{"stream C: ", "rollcall.changes.>"}},
		"events":     {jetstream.StreamConfig{Name: "LOGINS", Subjects: []string{"rollcall.events.>"}}, []string{"stream LOGINS: ", "ROLLCALL_STREAM=LOGINS"}},
		"reports":    {jetstream.StreamConfig{Name: "R", Subjects: []string{"rollcall.reports"}}, []string{"stream R: ", "ROLLCALL_REPORTS_STREAM", "ROLLCALL_SUBJECT"}},
		"letters":    {jetstream.StreamConfig{Name: "D", Subjects: []string{"rollcall.deadletters.*"}}, []string{"stream D: ", "ROLLCALL_DEADLETTERS_STREAM"}},

		"our reports": {jetstream.StreamConfig{Name: "ROLLCALL_REPORTS", Subjects: []string{"rollcall.reports"}, NoAck: true}, []string{"stream ROLLCALL_REPORTS: no_ack is true", "stream ROLLCALL_REPORTS: subjects", "rollcall.reports.>"}},
		"our letters": {jetstream.StreamConfig{Name: "ROLLCALL_DEADLETTERS", Subjects: []string{"rollcall.deadletters.>"}, Retention: jetstream.WorkQueuePolicy}, []string{"stream ROLLCALL_DEADLETTERS: retention is workqueue", "ROLLCALL_DEADLETTERS_STREAM"}},
	} {
		t.Run(name, func(t *testing.T) {
			js := newJetStream(t)
			makeStream(t, js, c.stream)
			refused(t, js, c.says...)
		})
	}
}

// refused calls Prepare and wants an error that contains all of the texts, and no
// stream created.
func refused(t *testing.T, js jetstream.JetStream, says ...string) {
	t.Helper()
	before := everything(t, js, false)
	_, err := Prepare(t.Context(), js, ourStreams(t), kit.Logger(t))
	wantError(t, err, true, says...)
	if after := everything(t, js, false); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}
