package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/inventory"
	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Each type here is a kind of value that a variable may have. Set, which
// envconfig calls with a value that is not empty, returns a *fault.

// fault is what is wrong with a value, and what to do.
type fault struct{ problem, remedy string }

func (f *fault) Error() string { return f.problem + "; " + f.remedy }

func invalid(value, problem, remedy string) error {
	return &fault{fmt.Sprintf("%q %s", value, problem), remedy}
}

// interval is a duration of at least 1ms.
type interval time.Duration

// maxDuration is longer than any sane setting; it also keeps sums of durations in range.
const maxDuration = 100 * 365 * 24 * time.Hour

// Set reads a value such as 30s.
func (i *interval) Set(value string) error {
	d, err := duration(value)
	if err != nil {
		return err
	}
	if d < time.Millisecond {
		return invalid(value, "is too short", "use at least 1ms")
	}
	*i = interval(d)
	return nil
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return 0, invalid(value, "is not a duration", "use a number with a unit, such as 30s or 10m")
	case d > maxDuration:
		return 0, invalid(value, "is too long", "use at most 876000h, which is 100 years")
	}
	return d, nil
}

// age is how long a stream keeps messages; 0 is for ever.
type age time.Duration

// Set reads a value such as 2160h.
func (a *age) Set(value string) error {
	// A stream's max age must be longer than its duplicate window.
	d, err := secondsOrForever(value)
	*a = age(d)
	return err
}

// silence is how long after its last event a machine counts as silent; 0 is never.
type silence time.Duration

// Set reads a value such as 15m.
func (s *silence) Set(value string) error {
	d, err := secondsOrForever(value)
	*s = silence(d)
	return err
}

// secondsOrForever reads a duration of at least a second, or 0.
func secondsOrForever(value string) (time.Duration, error) {
	d, err := duration(value)
	if err == nil && d < time.Second && d != 0 {
		err = invalid(value, "is too short", "use at least 1s, or 0 for no limit")
	}
	if err != nil {
		return 0, err
	}
	return d, nil
}

// count is a number of at least 1.
type count int

// Set reads a value such as 10000.
func (c *count) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return invalid(value, "is not a number of at least 1", "use digits only, such as 10000")
	}
	*c = count(n)
	return nil
}

// toggle is true or false.
type toggle bool

// Set reads true or false.
func (t *toggle) Set(value string) error {
	switch strings.ToLower(value) {
	case "true":
		*t = true
	case "false":
		*t = false
	default:
		return invalid(value, "is neither true nor false", "use true or false")
	}
	return nil
}

// leaseTTL is how long a service stays active without a renewal.
type leaseTTL time.Duration

// Set reads a value such as 10s.
func (l *leaseTTL) Set(value string) error {
	d, err := duration(value)
	if err == nil && (d < time.Second || d > time.Hour || d%time.Millisecond != 0) {
		err = invalid(value, "is not from 1s to 1h, in whole milliseconds", "use such as 10s")
	}
	if err != nil {
		return err
	}
	*l = leaseTTL(d)
	return nil
}

// place is the number of a message in everything ever read; 0 means not set.
type place uint64

// Set reads a value such as 1000, as the log line of a loss prints it.
func (p *place) Set(value string) error {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n < 1 {
		return invalid(value, "is not a place", "use the number that `rollcall status` or the log line of the loss gives")
	}
	*p = place(n)
	return nil
}

// replicas is how many servers of a cluster keep a stream.
type replicas int

// Set reads a value from 1 to 5.
func (r *replicas) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 5 {
		return invalid(value, "is not a number from 1 to 5", "use 1, or 3 in a cluster")
	}
	*r = replicas(n)
	return nil
}

// size is a number of bytes; 0 means not set.
type size int64

var (
	sizeForm  = regexp.MustCompile(`^([0-9]+) ?([a-zA-Z]*)$`)
	sizeUnits = map[string]int64{
		"": 1, "b": 1,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	}
)

// Set reads a number of bytes, or a value such as 10GiB or 10GB.
func (s *size) Set(value string) error {
	const remedy = "use a number of bytes, or one with a unit, such as 10GiB"
	parts := sizeForm.FindStringSubmatch(value)
	if parts == nil {
		return invalid(value, "is not a size", remedy)
	}
	unit, known := sizeUnits[strings.ToLower(parts[2])]
	n, err := strconv.ParseInt(parts[1], 10, 64)
	switch {
	case !known || err != nil || n*unit/unit != n:
		return invalid(value, "is not a size", remedy)
	case n == 0:
		return invalid(value, "must be greater than 0", remedy)
	}
	*s = size(n * unit)
	return nil
}

// address is a host and a port: "127.0.0.1:8080", ":8080".
type address string

// Set reads a host and a port.
func (a *address) Set(value string) error {
	const remedy = "use host:port, such as 127.0.0.1:8080"
	host, port, err := net.SplitHostPort(value)
	if err != nil || strings.ContainsAny(host, "/ \t") {
		return invalid(value, "is not an address", remedy)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return invalid(value, "has no port from 0 to 65535", remedy)
	}
	*a = address(value)
	return nil
}

// subject is the base of all subjects.
type subject struct{ rollcallv1.Subjects }

// Set reads the base of all subjects.
func (s *subject) Set(value string) error {
	subjects, err := rollcallv1.NewSubjects(value)
	if err != nil {
		return invalid(value, "is not a valid base of subjects", "use up to 255 letters, digits, - and _, separated by dots: rollcall, or acme.rollcall")
	}
	s.Subjects = subjects
	return nil
}

// inbox is the prefix of the subjects on which answers are received.
type inbox string

// Set reads a subject without wildcards.
func (i *inbox) Set(value string) error {
	for token := range strings.SplitSeq(value, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n") {
			return invalid(value, "is not a subject", "use tokens without wildcards, separated by dots, such as _INBOX_rollcall")
		}
	}
	*i = inbox(value)
	return nil
}

// domain is the name of a JetStream domain.
type domain string

// Set reads a name as the servers of the domain have it in their configuration.
func (d *domain) Set(value string) error {
	if problem := natsconn.DomainProblem(value); problem != "" {
		return invalid(value, problem, "use the name in jetstream { domain: … } of its servers, such as hub")
	}
	*d = domain(value)
	return nil
}

// sources says which sources may speak for which machines.
type sources struct{ *roster.Speakers }

// Set reads a list such as fra/ROLLCALL_EVENTS=*.fra.example.com.
func (s *sources) Set(value string) error {
	speakers, err := roster.ParseSpeakers(value)
	if err != nil {
		return &fault{err.Error(), "use a list such as fra/ROLLCALL_EVENTS=*.fra.example.com *.fra2.example.com,local=hub1: domain/stream=machines, separated by commas; * and ? in names of machines"}
	}
	s.Speakers = speakers
	return nil
}

// streamName is the name of a stream.
type streamName string

// Set accepts the names that JetStream accepts: the name becomes a token of subjects and a
// folder.
func (s *streamName) Set(value string) error {
	if len(value) > 255 || strings.ContainsFunc(value, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`.*>/\`, r)
	}) {
		return invalid(value, "is not a stream name", "use up to 255 letters, digits, - and _")
	}
	*s = streamName(value)
	return nil
}

// secret is a value that is never printed.
type secret string

// Set accepts any value.
func (s *secret) Set(value string) error {
	*s = secret(value)
	return nil
}

// String hides the value.
func (s secret) String() string {
	if s == "" {
		return ""
	}
	//guard:set `"(hidden)"` string(s) "no password or token is logged" TestSecretsAreNotFormatted
	return "(hidden)"
}

// file is the path of a file that can be read.
type file string

// Set reads the path of a file that can be read.
func (f *file) Set(value string) error {
	if why := Unreadable(value); why != "" {
		return invalid(value, why, "give the path of a readable file")
	}
	*f = file(value)
	return nil
}

// inventoryFile is a file with the names of machines.
type inventoryFile string

// Set reads the path of a file of which every line is a name.
func (f *inventoryFile) Set(value string) error {
	if _, err := inventory.Read(value); err != nil {
		return &fault{err.Error(), "give a file with the name of a machine in each line"}
	}
	*f = inventoryFile(value)
	return nil
}

// Unreadable returns why the file at a path cannot be read, or "" if it can.
func Unreadable(path string) string {
	opened, err := os.Open(path)
	if err != nil {
		var cause *os.PathError
		errors.As(err, &cause)
		return "cannot be opened (" + cause.Err.Error() + ")"
	}
	defer opened.Close()
	if info, err := opened.Stat(); err == nil && info.IsDir() {
		return "is a folder"
	}
	return ""
}

// webConfigFile is the path of the web configuration file of an HTTP server.
type webConfigFile string

// check appends what is wrong with the file of a variable, if there is one.
func (w webConfigFile) check(variable string, read func(path string) error, found Problems) Problems {
	if w == "" {
		return found
	}
	if err := read(string(w)); err != nil {
		return append(found, problem{
			variable, fmt.Sprintf("%q is invalid: %v", string(w), err),
			"give a web configuration file as https://github.com/prometheus/exporter-toolkit describes it",
		})
	}
	return found
}

// keyFile is the path of a file with a seed. The value is never printed: it may be the
// seed itself, set by mistake.
type keyFile string

// Set reads the path of a file that can be read.
func (k *keyFile) Set(value string) error {
	if why := Unreadable(value); why != "" {
		return &fault{"the file " + why, "give the path of a file with the seed, not the seed"}
	}
	*k = keyFile(value)
	return nil
}

// serverURL is one or more URLs of NATS servers, separated by commas.
type serverURL string

// Set reads URLs such as nats://127.0.0.1:4222; the scheme may be missing.
func (s *serverURL) Set(value string) error {
	servers := strings.Split(value, ",")
	for i, server := range servers {
		server = strings.TrimSpace(server)
		// Otherwise the first half of a password would be parsed as a server.
		if i > 0 && strings.Contains(server, "@") && !strings.Contains(server, "://") {
			return &fault{"has a comma before an @", "write a comma in a user or password as %2C, and each server with nats://"}
		}
		if !isServer(server) {
			return invalid(natsconn.Redact(server), "is not the URL of a NATS server", "use one such as nats://127.0.0.1:4222")
		}
		servers[i] = server
	}
	*s = serverURL(strings.Join(servers, ","))
	return nil
}

func isServer(server string) bool {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || strings.Contains(u.Host, " ") {
		return false
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
		return true
	}
	return false
}

// String hides users and passwords.
//
//guard:set natsconn.Redact(...) string(s) "no address is logged with its password" TestSecretsAreNotFormatted
func (s serverURL) String() string { return natsconn.Redact(string(s)) }

// logLevel is the lowest level that is logged.
type logLevel slog.Level

// Set reads the name of a level.
func (l *logLevel) Set(value string) error {
	switch level := strings.ToLower(value); level {
	case "debug", "info", "warn", "error":
		return (*slog.Level)(l).UnmarshalText([]byte(level))
	}
	return invalid(value, "is not a log level", "use debug, info, warn or error")
}

// logFormat is how logs are written; empty is text on a terminal, else json.
type logFormat string

// Set reads the name of a format.
func (f *logFormat) Set(value string) error {
	switch format := strings.ToLower(value); format {
	case "text", "json":
		*f = logFormat(format)
		return nil
	}
	return invalid(value, "is not a log format", "use text or json")
}
