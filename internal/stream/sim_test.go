package stream

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
	"rollcall/internal/test/kit"
)

var (
	simSeeds = flag.Int("sim.seeds", kit.Length(60, 500), "how many `seeds` TestSimulation runs, starting at 1; 500 or more must cover every fault")
	simBurst = flag.Int("sim.burst", burst, "about how many `messages` a burst of TestSimulation has in half of the seeds (100 in the others); 3600 makes 10,000 messages a seed on average")
	simSeed  = flag.Uint64("sim.seed", 0, "run TestSimulation or TestSimulatedSites with this `seed` only, and log everything")
)

// world is everything around the reader in one run of the simulation. All
// events are drawn from one seed, and time is that of a synctest bubble: it advances
// only while every goroutine waits, so the reader's waits cost nothing.
type world struct {
	seed     uint64
	rng      *rand.Rand // used by the goroutine that runs the ops only
	settings roster.Settings
	harmless bool // only ops that lose nothing
	// retention removes messages all the time, unless quiet; nil: there is none.
	retention  *retention
	sites      []*simSite
	quiet      bool
	maxPublish int // about how many messages are published at once
	log        *slog.Logger
	coverage   *coverage

	mu           sync.Mutex
	problem      string     // the first failure
	stream       *simStream // nil: missing
	incarnations int
	messages     map[roster.Time]*simMessage // every message ever stored, by receipt
	lastReceipt  roster.Time                 // the last receipt
	longestSeq   uint64                      // the greatest last sequence that any stream had
	copies       []*simStream
	states       []pastState
	disk         simDisk
	assigned     []AssignedPlace  // by reports and dead letters
	reported     map[uint64]entry // what had the reported places
	service      *service
	saving       sync.WaitGroup

	// The times of the last replacement of the stream, of the last op that may delay the
	// reader, and of the last removal of messages.
	changed, disturbed, removed time.Time
	lastFault                   time.Time               // when the last op that is not gentle ran
	outageUntil                 time.Time               // until when no request is answered
	silent                      bool                    // during an outage: requests time out
	oddInfo, oddGet             bool                    // an old leader answers the next request
	oddAt                       time.Time               // when an old leader last answered
	falseInfo                   *state                  // the answer to the next info request, if not nil
	hook                        func(what string) error // called before each request is answered
	wedged                      bool                    // no consumer delivers on this connection
	consumers                   []consumerFault
}

func newWorld(seed uint64, coverage *coverage) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := &world{
		seed: seed, rng: rng, coverage: coverage, messages: map[roster.Time]*simMessage{}, reported: map[uint64]entry{},
		settings: roster.Settings{MaxSkew: 5 * time.Second, AllowedLateness: time.Minute},
		hook:     func(string) error { return nil }, harmless: seed%4 == 0, maxPublish: *simBurst, log: slog.New(slog.DiscardHandler),
	}
	if rng.IntN(2) == 0 { // short streams have more ops near their ends
		w.maxPublish = min(w.maxPublish, 100)
	}
	if seed%4 == 1 {
		w.retention = newRetention(rng)
	}
	if w.sites = newSimSites(rng); rng.IntN(4) == 0 {
		w.settings.Sources = simSpeakers
	}
	w.incarnations = 1
	w.stream = newSimStream(1, roster.TimeOf(time.Now()))
	if !w.harmless && rng.IntN(3) == 0 { // it has already lost its beginning
		w.publish(50)
		w.stream.setFirst(rng.Uint64N(52))
	}
	return w
}

// draw returns a random number for a caller, derived from the seed, what it is for and
// the time, so that it does not depend on the order of goroutines.
func (w *world) draw(what string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, what) //nolint:errcheck // a hash never fails
	return rand.NewPCG(w.seed^h.Sum64(), uint64(time.Now().UnixNano())).Uint64()
}

func (w *world) locked(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// fail records the first failure; the run ends before the next op.
func (w *world) fail(format string, args ...any) {
	if w.problem == "" {
		w.problem = fmt.Sprintf(format, args...)
		w.logf("FAILED: %s", w.problem)
	}
}

func (w *world) logf(format string, args ...any) {
	if w.log.Enabled(context.Background(), slog.LevelInfo) {
		w.log.Info(fmt.Sprintf(format, args...))
	}
}

// count counts something that happened, for the coverage.
func (w *world) count(what string) { w.coverage.add(what, 1) }

// lockAndCount is count for callers that do not hold the lock.
func (w *world) lockAndCount(what string) { w.locked(func() { w.count(what) }) }

// wait waits for up to 5 ms (scale 0), 1 s (1) or 15 s (2).
func (w *world) wait(scale int) {
	most := []time.Duration{5 * time.Millisecond, time.Second, 15 * time.Second}[scale]
	w.advance(time.Duration(w.rng.Int64N(int64(most))))
}

// run runs random ops, then lets the world settle, and checks the end state.
func (w *world) run() {
	w.start()
	possible := slices.DeleteFunc(ops(), func(o op) bool { return w.harmless && !o.harmless })
	for range 60 + w.rng.IntN(60) {
		w.runOp(possible)
		w.wait([]int{0, 0, 1, 1, 2}[w.rng.IntN(5)])
		w.locked(w.checkOverdue)
		if w.problem != "" {
			break
		}
	}
	if w.problem == "" {
		w.settleDown()
	}
	w.crash()
	w.saving.Wait()
	w.coverage.add("events", float64(len(w.messages)))
}

// runOp draws one op and runs it.
func (w *world) runOp(possible []op) {
	total := 0
	for _, o := range possible {
		total += o.weight
	}
	i, n := 0, w.rng.IntN(total)
	for ; n >= possible[i].weight; i++ {
		n -= possible[i].weight
	}
	var exists bool
	w.locked(func() {
		w.logf("op: %s", possible[i].name)
		w.coverage.add("op: "+possible[i].name, 1)
		if !possible[i].gentle {
			w.lastFault = time.Now()
		}
		exists = w.stream != nil
		w.recordState()
		if !exists && w.rng.IntN(3) == 0 {
			w.create()
		}
	})
	if exists {
		possible[i].do(w)
	}
}

// settleDown ends all faults, and checks that everything is read and reported in
// the end.
func (w *world) settleDown() {
	w.locked(func() {
		w.logf("settling down")
		w.oddInfo, w.oddGet, w.outageUntil, w.consumers = false, false, time.Time{}, nil
	})
	if w.retention != nil {
		w.keepUp()
		w.quiet = true
	}
	for range 120 {
		<-time.After(time.Second)
		w.locked(w.checkOverdue)
		if w.problem != "" || w.isDone() {
			break
		}
	}
	<-time.After(15 * time.Second)
	w.locked(w.checkEnd)
}

// isDone reports whether the reader has read everything and has caught up.
func (w *world) isDone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.service
	return w.stream != nil && s.undetectedSince.IsZero() && s.at.Sequence() == w.stream.last && s.reader.Lag() == 0 && s.reader.CaughtUp()
}

func (w *world) checkEnd() {
	s, l := w.service, w.stream
	s.adoptUndetectable(l)
	switch {
	case l == nil:
		w.fail("the stream was not recreated")
	case s.at.Sequence() != l.last || s.reader.Lag() != 0 || !s.reader.CaughtUp():
		w.fail("the reader is at sequence %d of %d, lag %d, caught up %v", s.at.Sequence(), l.last, s.reader.Lag(), s.reader.CaughtUp())
	case s.incarnation != l.id && s.at.Place > 0 && s.canDetect(l):
		w.fail("the stream is incarnation %d, the reader reads incarnation %d", l.id, s.incarnation)
	case s.short && l.last < s.lastShown:
		w.fail("sequences up to %d were known, but the reader did not detect that the stream ends at %d", s.lastShown, l.last)
	default:
		s.checkRead()
		s.checkRoster()
		s.checkHarmless()
	}
}

// checkHarmless checks, where nothing could be lost, that the log equals the stream.
func (s *service) checkHarmless() {
	if !s.w.harmless {
		return
	}
	for i, m := range s.w.stream.history {
		if i >= len(s.log) || s.log[i].m != m {
			s.w.fail("sequence %d was not read in order, although nothing could be lost", m.seq)
			return
		}
	}
}

// TestSimulation: whatever happens to the stream, its answers, its consumers, rollcall
// and its snapshots, every readable message is folded once; lost messages, and no
// others, are reported as lost, with the reason; what never arrived of a source is counted once; another incarnation is detected within
// 10 seconds; and in the end the roster equals that of an undisturbed process.
func TestSimulation(t *testing.T) {
	c := &coverage{n: map[string]float64{}}
	warmUp(t)
	if *simSeed > 0 {
		simulate(t, *simSeed, c, kit.Logger(t), func(*world) {})
		return
	}
	seeds := make(chan uint64)
	var runs sync.WaitGroup
	var failed atomic.Int32
	for range runtime.GOMAXPROCS(0) {
		runs.Go(func() {
			for seed := range seeds {
				if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed, c, slog.New(slog.DiscardHandler), func(*world) {}) }) {
					failed.Add(1)
				}
			}
		})
	}
	began := time.Now()
	for seed := uint64(1); seed <= uint64(*simSeeds) && failed.Load() < 5; seed++ {
		seeds <- seed
	}
	close(seeds)
	runs.Wait()
	t.Logf("%d seeds in %v:%s", *simSeeds, time.Since(began).Round(time.Second), c)
	if *simSeeds >= 500 {
		for _, mismatch := range c.mismatches() {
			t.Error(mismatch)
		}
	}
}

// warmUp creates what all snapshots share: it must not belong to the synctest
// bubble that uses it first.
func warmUp(t *testing.T) {
	var b bytes.Buffer
	enc := roster.New(roster.Settings{}).Encode()
	defer enc.Close()
	if _, err := snapshot.Write(&b, enc, snapshot.Header{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := snapshot.Read(&b, roster.Settings{}); err != nil {
		t.Fatal(err)
	}
}

// simulate runs one seed, in a world that is changed before anything happens.
func simulate(t *testing.T, seed uint64, c *coverage, log *slog.Logger, change func(w *world)) {
	test, _, _ := strings.Cut(t.Name(), "/")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, c)
		w.log = log
		change(w)
		w.run()
		if w.problem != "" {
			t.Errorf("%s\nto reproduce: go test ./internal/stream -run %s -sim.burst=%d -sim.seed=%d -v", w.problem, test, *simBurst, seed)
		}
	})
}
