// Package metrics has the gauges of the roster. They are read from the roster at
// scrape time, so none can be out of step with it, and a scrape of many machines
// takes a seventh of the time that a gauge for each would. No metric contains a
// user's name.
package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// Reading reports the progress of the reader of the stream. Its methods must be
// quick, and safe for use by several goroutines: each scrape calls them.
type Reading interface {
	// Lag returns how many messages of the stream have no fate yet, as far as the
	// reader knows.
	Lag() uint64
	// CaughtUp reports whether everything that the stream had at the start has been
	// read.
	CaughtUp() bool
}

// Build is the version of the program.
type Build struct {
	Version, Revision string
}

// Reasons for being incomplete that are not losses: the service has not caught up,
// and the state of the stream is unknown.
const (
	replaying = "replaying"
	stale     = "stale"
)

// Collector collects the metrics of the roster and its reader at each scrape,
// except for those of the machines, which a [Registry] gathers.
//
//	rollcall_users, rollcall_sessions, rollcall_users_on_several_machines
//	rollcall_position, rollcall_fates{fate}  the fates add up to the position
//	rollcall_lag_messages, rollcall_caught_up
//	rollcall_complete, rollcall_incomplete{reason}
//	rollcall_machines_unsettled, rollcall_machines_limited, rollcall_events_missing
//	rollcall_source_missing{source}
//	rollcall_build_info{version,goversion,revision}
type Collector struct {
	// Silent, if not nil, reports whether a machine that was last heard at heard, and lists
	// every so often who is on (0: unknown), is silent now. It must be quick, and safe for use by several goroutines.
	// Set it before MustShow.
	Silent func(heard roster.Time, every time.Duration) bool
	// Stale, if not nil, reports that the state of the stream is unknown: NATS is
	// disconnected or does not answer. Then there is no lag, and caught_up and
	// complete are 0. The rules for Silent apply to it too.
	Stale func() bool

	// SourceName, if not nil, names a source as its metric does.
	SourceName func(string) string

	roster      *roster.Roster
	reading     Reading
	build       Build
	maxMachines int
}

// NewCollector returns a collector. At most maxMachines machines, the first in byte
// order of their names, get a metric of their own.
func NewCollector(r *roster.Roster, reading Reading, build Build, maxMachines int) *Collector {
	return &Collector{roster: r, reading: reading, build: build, maxMachines: maxMachines}
}

var (
	users      = desc("users", "Users who are logged in on some machine.")
	sessions   = desc("sessions", "Open sessions.")
	several    = desc("users_on_several_machines", "Users who are logged in on more than one machine.")
	position   = desc("position", "Place up to which every message has its fate.")
	fates      = desc("fates", "Messages since the first, by fate; they add up to rollcall_position.", "fate")
	lag        = desc("lag_messages", "Messages of the stream that have no fate yet. Absent while NATS is down or does not answer.")
	caughtUp   = desc("caught_up", "1 when all that the stream had at the start has been read, and the current state of the stream is known, else 0.")
	complete   = desc("complete", "1 when every event that concerns a machine heard within the allowed lateness is accounted for, and the current state of the stream is known, else 0.")
	incomplete = desc("incomplete", "1 for each reason why events may be missing from the roster, else 0; stale: NATS is down or does not answer, so the state of the stream is unknown.", "reason")
	unsettled  = desc("machines_unsettled", "While events are missing: machines heard within the allowed lateness that have sent no boot, shutdown or present dated more than ROLLCALL_MAX_SKEW after the loss.")
	missing    = desc("events_missing", "Events that never arrived, as far as their numbers tell: it falls only when one arrives.")
	limited    = desc("machines_limited", "Machines with events refused because of a limit since their last boot, shutdown or present.")
	ofSource   = desc("source_missing", "Events of a stream that the stream of events sources that never arrived, as far as is known.", "source")
	buildInfo  = desc("build_info", "Always 1; the labels name the build.", "version", "goversion", "revision")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("rollcall_"+name, help, labels, nil)
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		users, sessions, several, position, fates, lag, caughtUp, complete, incomplete, unsettled, limited, missing, ofSource, buildInfo,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	st := c.roster.Status()
	gauge(ch, users, float64(st.Users))
	gauge(ch, sessions, float64(st.Sessions))
	gauge(ch, several, float64(st.Several))
	gauge(ch, position, float64(st.Position.Place))
	for _, fate := range roster.AllFates() {
		gauge(ch, fates, float64(st.Fates[fate]), fate.String())
	}
	c.collectComplete(ch, &st)
	gauge(ch, buildInfo, 1, c.build.Version, runtime.Version(), c.build.Revision)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (c *Collector) collectComplete(ch chan<- prometheus.Metric, st *roster.Status) {
	isCaughtUp, isStale := c.reading.CaughtUp(), c.Stale != nil && c.Stale()
	//guard:true "no lag is shown while NATS is disconnected" TestStale
	if !isStale {
		gauge(ch, lag, float64(c.reading.Lag()))
	}
	gauge(ch, caughtUp, boolValue(isCaughtUp && !isStale))
	//guard:drop st.Complete() "a roster with losses is never complete" TestValues
	//guard:drop isCaughtUp "a partial roster is never complete" TestValues
	gauge(ch, complete, boolValue(isCaughtUp && !isStale && st.Complete()))
	gauge(ch, incomplete, boolValue(!isCaughtUp), replaying)
	gauge(ch, incomplete, boolValue(isStale), stale)
	for _, loss := range roster.AllLosses() {
		gauge(ch, incomplete, boolValue(!st.Complete() && st.Losses[loss] != 0), loss.String())
	}
	open := 0
	if !st.Complete() {
		open = st.Unsettled
	}
	gauge(ch, unsettled, float64(open))
	gauge(ch, limited, float64(st.Limited))
	gauge(ch, missing, float64(st.Missing))
	for _, s := range st.Sources() {
		name := s.Name
		if c.SourceName != nil {
			name = c.SourceName(name)
		}
		gauge(ch, ofSource, float64(s.Missing), name)
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
