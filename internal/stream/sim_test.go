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
	simSeeds = flag.Int("sim.seeds", kit.Length(60, 500), "how many `seeds` TestSimulation runs, from 1 on; 500 and more must meet every fault")
	simBurst = flag.Int("sim.burst", burst, "about how many `messages` TestSimulation publishes at once, now and then, in half of the seeds, and 100 in the others; with 3600 a seed has 10,000 on average")
	simSeed  = flag.Uint64("sim.seed", 0, "run TestSimulation with this `seed` only, and log it all")
)

// world is everything around the reader in one run of the simulation. What
// happens is drawn from one seed, and time is that of a synctest bubble: it
// passes only while all wait, so the reader's waits cost nothing.
type world struct {
	seed     uint64
	rng      *rand.Rand // of whoever lets things happen, and nobody else
	settings roster.Settings
	harmless bool // nothing happens that loses anything
	// retention is at work all the time, but while it is quiet; nil: it isn't.
	retention  *retention
	quiet      bool
	maxPublish int // about how many messages are published at once
	log        *slog.Logger
	coverage   *coverage

	mu           sync.Mutex
	problem      string     // the first
	stream       *simStream // the stream; nil: missing
	incarnations int
	messages     map[roster.Time]*simMessage // every message ever stored
	lastReceipt  roster.Time                 // the last receipt
	longestSeq   uint64                      // the last sequence of the longest stream that there was
	copies       []*simStream
	states       []pastState
	disk         simDisk
	assigned     []AssignedPlace  // by reports and dead letters
	reported     map[uint64]entry // what had them, as far as those tell
	service      *service
	saving       sync.WaitGroup

	// When the stream last became another, anything last happened that may
	// hold up the reader, and messages were last removed.
	changed, disturbed, removed time.Time
	lastFault                   time.Time               // when anything last happened but messages that come and go
	outageUntil                 time.Time               // until when nothing is answered
	silent                      bool                    // not even with an error
	oddInfo, oddGet             bool                    // the next one is answered by an old leader
	oddAt                       time.Time               // when one was
	falseInfo                   *state                  // what the next look tells, if not nil
	hook                        func(what string) error // called before each question is answered
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
	if rng.IntN(2) == 0 { // in short streams more happens near their ends
		w.maxPublish = min(w.maxPublish, 100)
	}
	if seed%4 == 1 {
		w.retention = newRetention(rng)
	}
	w.incarnations = 1
	w.stream = newSimStream(1, roster.TimeOf(time.Now()))
	if !w.harmless && rng.IntN(3) == 0 { // its beginning has left it already
		w.publish(50)
		w.stream.setFirst(rng.Uint64N(52))
	}
	return w
}

// draw is a number for whoever asks, from the seed and the moment: so it does
// not depend on the order of goroutines.
func (w *world) draw(what string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, what) //nolint:errcheck // a hash takes everything
	return rand.NewPCG(w.seed^h.Sum64(), uint64(time.Now().UnixNano())).Uint64()
}

func (w *world) locked(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// fail notes what is wrong; the run ends with the next op.
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

// count counts that something has happened.
func (w *world) count(what string) { w.coverage.add(what, 1) }

// lockAndCount is saw for those who do not hold the lock.
func (w *world) lockAndCount(what string) { w.locked(func() { w.count(what) }) }

// wait lets a time pass: 0 next to none, 1 a part of a second, 2 up to 15.
func (w *world) wait(scale int) {
	most := []time.Duration{5 * time.Millisecond, time.Second, 15 * time.Second}[scale]
	w.advance(time.Duration(w.rng.Int64N(int64(most))))
}

// run lets things happen, then nothing more, and checks where it all ends.
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

// runOp draws one op and lets it happen.
func (w *world) runOp(possible []op) {
	total := 0
	for _, o := range possible {
		total += o.weight
	}
	i, n := 0, w.rng.IntN(total)
	for ; n >= possible[i].weight; i++ {
		n -= possible[i].weight
	}
	var there bool
	w.locked(func() {
		w.logf("op: %s", possible[i].name)
		w.coverage.add("op: "+possible[i].name, 1)
		if !possible[i].gentle {
			w.lastFault = time.Now()
		}
		there = w.stream != nil
		w.recordState()
		if !there && w.rng.IntN(3) == 0 {
			w.create()
		}
	})
	if there {
		possible[i].do(w)
	}
}

// settleDown lets everything be well from now on, and checks that in the end all is
// read and told.
func (w *world) settleDown() {
	w.locked(func() {
		w.logf("calm")
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

// isDone reports whether the reader has read all and knows it.
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
		w.fail("the stream stays missing")
	case s.at.Sequence() != l.last || s.reader.Lag() != 0 || !s.reader.CaughtUp():
		w.fail("the reader stands at sequence %d of %d, lag %d, caught up %v", s.at.Sequence(), l.last, s.reader.Lag(), s.reader.CaughtUp())
	case s.incarnation != l.id && s.at.Place > 0 && s.canDetect(l):
		w.fail("the stream is life %d, and the reader reads life %d", l.id, s.incarnation)
	case s.short && l.last < s.lastShown:
		w.fail("sequences up to %d were there, and nobody noticed that the stream ends at %d", s.lastShown, l.last)
	default:
		s.checkRead()
		s.checkRoster()
		s.checkHarmless()
	}
}

// checkHarmless: where nothing could be lost, the log is the stream.
func (s *service) checkHarmless() {
	if !s.w.harmless {
		return
	}
	for i, m := range s.w.stream.history {
		if i >= len(s.log) || s.log[i].m != m {
			s.w.fail("sequence %d was not read as if nothing had happened", m.seq)
			return
		}
	}
}

// TestSimulation: whatever happens to the stream, to what it answers, to the
// consumers, to rollcall and to its snapshots, every message that was there to
// be read is folded once, what was lost is told with its reason and nothing
// else is, another incarnation is noticed within 10 seconds, and in the end the
// roster is that of a process to which nothing happened.
func TestSimulation(t *testing.T) {
	c := &coverage{n: map[string]float64{}}
	warmUp(t)
	if *simSeed > 0 {
		simulate(t, *simSeed, c, kit.Logger(t))
		return
	}
	seeds := make(chan uint64)
	var runs sync.WaitGroup
	var failed atomic.Int32
	for range runtime.GOMAXPROCS(0) {
		runs.Go(func() {
			for seed := range seeds {
				if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed, c, slog.New(slog.DiscardHandler)) }) {
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
		for _, flaw := range c.mismatches() {
			t.Error(flaw)
		}
	}
}

// warmUp makes what all snapshots share, and what must not belong to the
// synctest bubble that needs it first.
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

func simulate(t *testing.T, seed uint64, c *coverage, log *slog.Logger) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, c)
		w.log = log
		w.run()
		if w.problem != "" {
			t.Errorf("%s\nagain: go test ./internal/stream -run TestSimulation -sim.burst=%d -sim.seed=%d -v", w.problem, *simBurst, seed)
		}
	})
}
