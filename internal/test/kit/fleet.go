package kit

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/roster"
)

// Shape is the number of users of each machine in a department. A fleet consists of
// identical departments.
type Shape []int

var (
	// Mixed is a terminal server, a jump host, four servers and four
	// workstations: ten users a machine on average.
	Mixed = Shape{60, 20, 4, 4, 4, 4, 1, 1, 1, 1}
	// Five is a machine with five users.
	Five = Shape{5}
)

// Fleet generates the events of a fleet, the same for the same seed.
//
// A pair is a user and a machine that the user logs in to now and then. Three pairs
// of four belong to people, each on up to twelve machines; the fourth belongs to a
// service account, on up to a thousand machines. Each pair logs in once, in a
// scattered order. From then on pairs are drawn at random: one that is logged in
// logs out, any other logs in. A message is received every second, up to 2 s after
// its date; one in a thousand is up to an hour late, so these arrive out of order.
//
// Names are such as web-0123.fra1.example.com, anna.kowalski17 and svc-backup-fra1.
// Half of the machines name no sessions; a quarter use the terminal line ("pts/3"),
// which is reused; a quarter use a counter ("c41"). An event has no other details.
//
// The first message was received on 2020-01-01 and has place 1.
type Fleet struct {
	// A block is a department.
	size, blocks, width int // pairs in a block; number of blocks; machines in a block
	people              int // persons in a block

	machineOf []int // by slot in a block: the machine
	machines  []string
	persons   []string
	services  []string // of all sites
	lines     []string // by slot: its terminal

	rng    *rand.Rand
	stride int
	sent   []uint32 // by pair: the number of its events so far
	count  int
}

// NewFleet returns a fleet of at least the given number of pairs: whole
// departments, at least as many as a person has machines.
func NewFleet(seed uint64, shape Shape, pairs int) *Fleet {
	f := &Fleet{width: len(shape), rng: rand.New(rand.NewPCG(seed, 0))}
	for machine, users := range shape {
		f.machineOf = append(f.machineOf, slices.Repeat([]int{machine}, users)...)
	}
	f.size = len(f.machineOf)
	f.blocks = max(reach, (pairs+f.size-1)/f.size)
	f.people = (f.size - f.size/4 + reach - 1) / reach
	f.sent = make([]uint32, f.Pairs())
	f.stride = f.coprime()
	f.name(shape)
	return f
}

// Pairs is the number of pairs of a user and a machine.
func (f *Fleet) Pairs() int { return f.size * f.blocks }

// Machines is the number of machines.
func (f *Fleet) Machines() int { return f.width * f.blocks }

// Next writes the next message to m.
func (f *Fleet) Next(m *roster.Message) {
	pair := f.pick()
	earlier := f.sent[pair]
	f.sent[pair]++
	f.count++
	block, slot := pair/f.size, pair%f.size
	machine := block*f.width + f.machineOf[slot]
	e := roster.Event{
		Type:    roster.Login,
		Machine: f.machines[machine],
		Session: roster.Session{User: f.user(block, slot, machine), ID: f.session(block, slot, earlier/2)},
	}
	if earlier%2 == 1 {
		e.Type = roster.Logout
	}
	receipt := epoch.Add(time.Duration(f.count) * time.Second)
	e.Date = receipt.Add(-f.delay())
	*m = roster.Message{Place: uint64(f.count), Receipt: receipt, Event: e}
}

// Fill fills b with the next n messages, reusing its slice. All their names are
// contiguous in memory, as in messages that were just read.
func (f *Fleet) Fill(b *roster.Batch, n int) {
	b.Messages = slices.Grow(b.Messages[:0], n)[:n]
	for i := range b.Messages {
		f.Next(&b.Messages[i])
	}
	Rewrite(b.Messages)
	b.End = roster.Position{Place: uint64(f.count)}
}

// Rewrite copies all names of the messages to contiguous memory.
func Rewrite(messages []roster.Message) {
	var read strings.Builder
	for i := range messages {
		for _, name := range stringsOf(&messages[i]) {
			read.WriteString(*name)
		}
	}
	rest := read.String()
	for i := range messages {
		for _, name := range stringsOf(&messages[i]) {
			*name, rest = rest[:len(*name)], rest[len(*name):]
		}
	}
}

// stringsOf returns the strings that a fleet's events use.
func stringsOf(m *roster.Message) [3]*string {
	return [...]*string{&m.Event.Machine, &m.Event.Session.User, &m.Event.Session.ID}
}

// Fold folds the next n messages into a roster. After the first [Fleet.Pairs]
// messages everybody is logged in.
func (f *Fleet) Fold(r *roster.Roster, n int) {
	var b roster.Batch
	for ; n > 0; n -= len(b.Messages) {
		f.Fill(&b, min(n, 500))
		r.Fold(&b)
	}
}

// Roster returns a roster with everybody logged in.
func (f *Fleet) Roster() *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	f.Fold(r, f.Pairs())
	return r
}

var epoch = roster.TimeOf(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))

// pick draws the pair that the next message is about.
func (f *Fleet) pick() int {
	if f.count < f.Pairs() {
		return f.count * f.stride % f.Pairs()
	}
	return f.rng.IntN(f.Pairs())
}

// coprime returns a step, coprime to the number of pairs, that visits every pair
// before it repeats one.
func (f *Fleet) coprime() int {
	step := f.Pairs()*5/8 + f.rng.IntN(f.Pairs()/8)
	for gcd(step, f.Pairs()) != 1 {
		step++
	}
	return step
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (f *Fleet) delay() time.Duration {
	if f.rng.IntN(1000) == 0 {
		return time.Duration(f.rng.Int64N(int64(time.Hour)))
	}
	return time.Duration(f.rng.Int64N(int64(2 * time.Second)))
}

// reach is the largest number of machines of one person.
const reach = 12

// user returns the user of a pair. A person has at most one pair in a department, so
// never two on one machine.
func (f *Fleet) user(block, slot, machine int) string {
	if slot%4 == 3 {
		return f.services[machine/siteSize*len(accounts)+slot/4%len(accounts)]
	}
	n := slot - slot/4
	home := (block + n/f.people) % f.blocks
	return f.persons[home*f.people+n%f.people]
}

// session returns the session name of a pair's nth stay. All machines of a department
// name sessions the same way.
func (f *Fleet) session(block, slot int, stay uint32) string {
	switch block % 4 {
	case 2:
		return f.lines[slot]
	case 3:
		return "c" + strconv.Itoa(int(stay)*f.size+slot+1)
	}
	return ""
}

// siteSize is the number of machines of a site.
const siteSize = 1000

var (
	sites    = strings.Fields("fra nyc sin ber lon par tyo syd sao dub ams mad waw hel zrh yul")
	roles    = strings.Fields("web db app mq cache build")
	accounts = strings.Fields(`root deploy backup ansible nagios jenkins gitlab postgres mysql oracle tomcat
		nginx redis kafka zabbix puppet rsync splunk ceph icinga docker ldap cron mail scan`)
	given  = strings.Fields("anna ben chris dana emil fatima george hana ivan jordan kim lane maria nils olga priya")
	family = strings.Fields(`kowalski smith nguyen garcia mueller rossi tanaka silva dubois ivanov jensen khan
		okafor larsson novak papadopoulos`)
)

// name generates all names once. They are substrings of a few long strings, which the
// garbage collector does not scan.
func (f *Fleet) name(shape Shape) {
	for slot := range f.size {
		f.lines = append(f.lines, "pts/"+strconv.Itoa(slot))
	}
	f.machines = names(f.Machines(), func(b []byte, i int) []byte {
		b = append(b, role(shape[i%f.width], i)...)
		b = append(append(b, '-'), strconv.Itoa(10_000 + i%siteSize)[1:]...)
		return append(appendSite(append(b, '.'), i/siteSize), ".example.com"...)
	})
	f.persons = names(f.blocks*f.people, func(b []byte, i int) []byte {
		b = append(append(b, given[i%len(given)]...), '.')
		b = append(b, family[i/len(given)%len(family)]...)
		return strconv.AppendInt(b, int64(i/len(given)/len(family)), 10)
	})
	f.services = names((f.Machines()/siteSize+1)*len(accounts), func(b []byte, i int) []byte {
		b = append(append(b, "svc-"...), accounts[i%len(accounts)]...)
		return appendSite(append(b, '-'), i/len(accounts))
	})
}

func role(users, i int) string {
	switch {
	case users >= 50:
		return "ts"
	case users >= 10:
		return "jump"
	case users == 1:
		return "ws"
	}
	return roles[i%len(roles)]
}

func appendSite(b []byte, i int) []byte {
	return strconv.AppendInt(append(b, sites[i%len(sites)]...), int64(i/len(sites)+1), 10)
}

// names generates n names.
func names(n int, appendName func(b []byte, i int) []byte) []string {
	var all []byte
	ends := make([]int, n)
	for i := range ends {
		all = appendName(all, i)
		ends[i] = len(all)
	}
	long, list, start := string(all), make([]string, n), 0
	for i, end := range ends {
		list[i], start = long[start:end], end
	}
	return list
}

// BenchDir is the folder in which full-size benchmarks share what takes long to create,
// such as streams; "" if BENCH_DIR is not set.
func BenchDir() string { return os.Getenv("BENCH_DIR") }

// Scale returns the size of something in a benchmark: n if BENCH_DIR is set, as by the
// command in internal/test/bench, else n/100, so that running every benchmark once is
// quick.
func Scale(n int) int {
	if BenchDir() == "" {
		return n / 100
	}
	return n
}
