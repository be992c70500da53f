package fleet

import "strconv"

// kind is what a machine is for.
type kind uint8

const (
	workstation kind = iota
	terminal         // many people work on it at once
	jump             // administrators pass through it
	build
	web
	db
	mail
	cache
	kinds
)

var kindNames = [...]string{"ws", "term", "jump", "build", "web", "db", "mail", "cache"}

// String is how names of such machines begin.
func (k kind) String() string { return kindNames[k] }

// pattern has the kinds of a hundred machines. It repeats.
var pattern = func() (p [100]kind) {
	for k, places := range map[kind][]int{
		terminal: {0, 47},
		jump:     {26, 61},
		build:    {3, 8, 13, 18, 58},
		web:      {5, 35, 55, 85},
		db:       {15, 45, 75},
		mail:     {95},
		cache:    {30, 65, 90},
	} {
		for _, place := range places {
			p[place] = k
		}
	}
	return p
}()

// before counts the machines of each kind before a place of the pattern.
var before = func() (b [len(pattern) + 1][kinds]int) {
	for i, k := range pattern {
		b[i+1] = b[i]
		b[i+1][k]++
	}
	return b
}()

func kindOf(machine int) kind { return pattern[machine%len(pattern)] }

// countUpTo counts the machines of a kind that have smaller numbers.
func countUpTo(k kind, machine int) int {
	return machine/len(pattern)*before[len(pattern)][k] + before[machine%len(pattern)][k]
}

// details are how a session is described: its id, terminal and service, of the number
// of a session on a machine and the number of its terminal.
func details(k kind, who, number, line int) (id, terminalName, service string) {
	switch {
	case k == terminal:
		return "c" + strconv.Itoa(number), "rdp-tcp#" + strconv.Itoa(line), "rdp"
	case k == workstation && line == 0:
		return strconv.Itoa(number), "tty2", "login"
	case k == cache: // these machines do not name their sessions
		return "", "pts/" + strconv.Itoa(line), "sshd"
	case who < 0:
		return strconv.Itoa(number), "", "sshd"
	}
	return strconv.Itoa(number), "pts/" + strconv.Itoa(line), "sshd"
}
