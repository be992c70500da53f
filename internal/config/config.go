// Package config reads the configuration from environment variables, checks their
// values, and describes what is wrong.
package config

import (
	"cmp"
	"fmt"
	"time"

	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Each field of these structs is a variable, named ROLLCALL_ and the field's name
// in words. The tag envconfig gives a name that is also read without the prefix
// ROLLCALL_. "rollcall serve --help" prints default, desc (the meaning) and shown
// (listed instead of default). The structs are embedded with
// exported names because envconfig skips what it cannot set.

// ForDeadLetters is the configuration of the deadletters command.
type ForDeadLetters struct {
	Client
	ContextName
	DeadLetters
}

// ContextName names a context of the nats tool, for the commands that ask or publish.
type ContextName struct {
	NATSContext string `envconfig:"NATS_CONTEXT" desc:"context of the nats tool, for the commands that ask or publish"`
}

// Serve is the configuration of the serve command: all variables.
type Serve struct {
	Client
	Streams
	Files
	Decisions
	Web
	Outputs
	Page
	Redundancy
}

// Client says which server to talk to, as whom, and on which subjects.
type Client struct {
	NATSURL         serverURL `envconfig:"NATS_URL" desc:"NATS server, such as nats://10.0.0.5:4222; several separated by commas" shown:"none: serve starts a server"`
	NATSCreds       file      `envconfig:"NATS_CREDS" desc:"credentials file (JWT and seed)"`
	NATSUser        string    `envconfig:"NATS_USER" desc:"user name"`
	NATSPassword    secret    `envconfig:"NATS_PASSWORD" desc:"password of that user"`
	NATSToken       secret    `envconfig:"NATS_TOKEN" desc:"token"`
	NATSNkey        keyFile   `envconfig:"NATS_NKEY" desc:"file with an nkey seed"`
	NATSCA          file      `envconfig:"NATS_CA" desc:"file with the certificates to trust, in PEM"`
	NATSCert        file      `envconfig:"NATS_CERT" desc:"file with the client's certificate, in PEM"`
	NATSKey         file      `envconfig:"NATS_KEY" desc:"file with that certificate's key, in PEM"`
	NATSInboxPrefix inbox     `envconfig:"NATS_INBOX_PREFIX" desc:"prefix of the subjects on which answers are received; {{subject()}} in it is the user's public key" shown:"_INBOX"`
	NATSJSDomain    domain    `envconfig:"NATS_JS_DOMAIN" desc:"JetStream domain of the streams, such as hub, if it is not that of the server in NATS_URL; see docs/operations.md, JetStream domains" shown:"that of the server"`
	Subject         subject   `split_words:"true" default:"rollcall" desc:"base of all subjects"`
	DataDir         string    `split_words:"true" default:"rollcall-data" desc:"folder of the snapshots, the history, and the embedded server's streams and key"`
	EmbeddedAddr    address   `split_words:"true" default:"127.0.0.1:4222" desc:"address of the server that serve starts when NATS_URL is not set"`

	// names has what set a value instead of its variable: see [natsconn.Options].
	names map[string]string
}

// Streams says which streams there are, and how to create missing ones.
type Streams struct {
	Stream        streamName `split_words:"true" default:"ROLLCALL_EVENTS" desc:"stream of events"`
	ReportsStream streamName `split_words:"true" default:"ROLLCALL_REPORTS" desc:"stream of reports"`
	DeadLetters
	StreamMaxAge   age      `split_words:"true" default:"2160h" desc:"max age of streams that rollcall creates; 0: none"`
	StreamMaxBytes size     `split_words:"true" desc:"max size of a stream of events that rollcall creates, such as 10GiB" shown:"none; embedded: half of the server's limit"`
	StreamReplicas replicas `split_words:"true" default:"1" desc:"replicas of streams that rollcall creates, 1 to 5"`
}

// DeadLetters names the stream of refused events.
type DeadLetters struct {
	DeadlettersStream streamName `split_words:"true" default:"ROLLCALL_DEADLETTERS" desc:"stream of refused events"`
}

// Files configures the snapshots.
type Files struct {
	SnapshotInterval interval `split_words:"true" default:"30s" desc:"how often the roster is written to disk, if it changed"`
	History          silence  `default:"8784h" desc:"how long the history keeps sessions that have ended; 0: no history"`
	HistoryMaxBytes  size     `split_words:"true" desc:"most bytes of the history; beyond that the machine with the most loses its oldest sessions" shown:"half of the free disk, at most 20 GiB"`
}

// Decisions are the settings that decide what becomes of an event.
type Decisions struct {
	MaxSkew               interval `split_words:"true" default:"10m" desc:"how far an event may be dated after its receipt"`
	AllowedLateness       interval `split_words:"true" default:"720h" desc:"how far an event may be dated before the newest of its machine"`
	MaxMachines           count    `split_words:"true" default:"1000000" desc:"most machines in reports; an event of one more is refused (limit)"`
	MaxSessions           count    `split_words:"true" default:"20000000" desc:"most open sessions in all; an event that opens more is refused (limit)"`
	MaxSessionsPerMachine count    `split_words:"true" default:"10000" desc:"most open sessions on one machine; an event that opens more is refused (limit)"`
	Sources               sources  `split_words:"true" desc:"which source of the stream of events may speak for which machines: domain/stream=glob glob,…; local is the stream itself; see docs/sites.md, Who may speak for whom" shown:"all for all"`
	AcceptLoss            place    `split_words:"true" desc:"place up to which lost events are accepted: the roster counts as complete again" shown:"none"`
}

// Web configures the HTTP servers.
type Web struct {
	HTTPAddr       address       `split_words:"true" default:"127.0.0.1:8080" desc:"address of metrics and health"`
	HTTPConfigFile webConfigFile `split_words:"true" desc:"web configuration file, as of the Prometheus exporters: TLS, client certificates, users with passwords, for metrics and health" shown:"none: plain HTTP"`
	PprofAddr      address       `split_words:"true" desc:"address of Go profiles, which only administrators should reach, such as 127.0.0.1:6060" shown:"none"`
}

// Outputs configures reports, answers and metrics.
type Outputs struct {
	ReportInterval     interval      `split_words:"true" default:"30s" desc:"how often a report is published, if it changed"`
	SilentAfter        silence       `split_words:"true" default:"0" desc:"how long after its last event a machine counts as silent, its users being the last known; 0: never"`
	ExpectedFile       inventoryFile `split_words:"true" desc:"file with the names of the machines that there should be, one a line (lines that begin with # are comments), to count those never heard from" shown:"none"`
	MetricsMaxMachines count         `split_words:"true" default:"50000" desc:"most machines in the metrics"`
	Logs
}

// Redundancy configures several services of which one is active.
type Redundancy struct {
	Standby    toggle   `default:"false" desc:"true: several services with the same ROLLCALL_SUBJECT may run; one of them is active, the others stand by; requires NATS_URL"`
	StandbyTTL leaseTTL `split_words:"true" default:"10s" desc:"with ROLLCALL_STANDBY, how long the active service stays active without reaching NATS, 1s to 1h; then another one takes over"`
}

// Logs configures logs.
type Logs struct {
	LogLevel  logLevel  `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat logFormat `split_words:"true" desc:"text or json" shown:"text on a terminal, else json"`
}

// Subjects returns the subjects that the configuration names.
func (c *Client) Subjects() rollcallv1.Subjects { return c.Subject.Subjects }

// Domain returns the JetStream domain of the streams.
func (c *Client) Domain() natsconn.Domain { return natsconn.Domain(c.NATSJSDomain) }

// Settings returns the roster's settings.
func (d *Decisions) Settings() roster.Settings {
	return roster.Settings{
		MaxSkew:               time.Duration(d.MaxSkew),
		AllowedLateness:       time.Duration(d.AllowedLateness),
		MaxMachines:           int(d.MaxMachines),
		MaxSessions:           int(d.MaxSessions),
		MaxSessionsPerMachine: int(d.MaxSessionsPerMachine),
		Sources:               d.Sources.String(),
	}
}

// Speakers returns which sources may speak for which machines.
func (d *Decisions) Speakers() *roster.Speakers { return d.Sources.Speakers }

// check appends the problems that concern two variables to those already found.
func (c *Client) check(found Problems) Problems {
	pairs := []struct {
		have, need string
		bad        bool
	}{
		{"NATS_CERT", "NATS_KEY", c.NATSCert != "" && c.NATSKey == ""},
		{"NATS_KEY", "NATS_CERT", c.NATSKey != "" && c.NATSCert == ""},
		{"NATS_JS_DOMAIN", "NATS_URL", c.NATSJSDomain != "" && c.NATSURL == ""},
		{"NATS_PASSWORD", "NATS_USER", c.NATSPassword != "" && c.NATSUser == ""},
	}
	for _, p := range pairs {
		if p.bad && !found.concerns(p.have, p.need) {
			found = append(found, problem{cmp.Or(c.names[p.have], p.have), "requires " + p.need, "set both or neither"})
		}
	}
	return found
}

// check appends what is wrong with the variables together.
func (r *Redundancy) check(url serverURL, found Problems) Problems {
	//guard:false "no standby of a server that ends with the service" TestStandby
	if bool(r.Standby) && url == "" && !found.concerns("NATS_URL", "ROLLCALL_STANDBY") {
		found = append(found, problem{"ROLLCALL_STANDBY", "requires NATS_URL: the embedded server ends with the service", "set NATS_URL to a NATS server that all of the services use, or unset ROLLCALL_STANDBY"})
	}
	return found
}

func (s *Streams) check(found Problems) Problems {
	streams := []struct {
		name  string
		value streamName
	}{
		{"ROLLCALL_STREAM", s.Stream},
		{"ROLLCALL_REPORTS_STREAM", s.ReportsStream},
		{"ROLLCALL_DEADLETTERS_STREAM", s.DeadlettersStream},
	}
	for i, a := range streams {
		for _, b := range streams[:i] {
			if a.value == b.value && !found.concerns(a.name, b.name) {
				found = append(found, problem{a.name, fmt.Sprintf("%q is also %s", a.value, b.name), "give each stream its own name"})
			}
		}
	}
	return found
}

// forClient is the configuration of the commands that only connect to a server.
type forClient struct {
	Client
	ContextName
}

// ReadClient reads the configuration of the commands that only connect to a server.
// What is given has precedence over the environment; nil is for commands that do not
// connect. The error lists all problems.
func ReadClient(given *Given) (*Client, error) {
	cfg := new(forClient)
	return &cfg.Client, cfg.override(given, cfg.NATSContext, read(cfg)).orNil()
}

// ForStreams is the configuration of the commands that need to know the streams.
type ForStreams struct {
	Client
	ContextName
	Streams
}

// ReadStreams is ReadClient for the commands that need to know the streams.
func ReadStreams(given *Given) (*ForStreams, error) {
	cfg := new(ForStreams)
	return cfg, cfg.Streams.check(cfg.override(given, cfg.NATSContext, read(cfg))).orNil()
}

// ServerURL checks the URL of one NATS server, or of several separated by commas.
func ServerURL(value string) (string, error) {
	var u serverURL
	err := u.Set(value)
	return string(u), err
}

// ReadDeadLetters is ReadClient for the deadletters command.
func ReadDeadLetters(given *Given) (*ForDeadLetters, error) {
	cfg := new(ForDeadLetters)
	return cfg, cfg.override(given, cfg.NATSContext, read(cfg)).orNil()
}

// ForPage is the configuration of the web command.
type ForPage struct {
	Client
	ContextName
	DeadLetters
	Page
	Logs
}

// ReadPage is ReadClient for the web command; readWeb reads a web configuration file.
func ReadPage(given *Given, readWeb func(path string) error) (*ForPage, error) {
	cfg := new(ForPage)
	found := cfg.override(given, cfg.NATSContext, read(cfg))
	if cfg.PageAddr.IsOff() {
		found = append(found, problem{"ROLLCALL_PAGE_ADDR", `"off" turns off the page of "rollcall serve"`, "set an address, such as 127.0.0.1:8088"})
	}
	return cfg, cfg.Page.check(readWeb, found).orNil()
}

// ForHealth is the configuration of the healthcheck command.
type ForHealth struct {
	Web
	Page
}

// ReadHealth reads the configuration of the healthcheck command; readWeb reads a web
// configuration file. The error lists all problems.
func ReadHealth(readWeb func(path string) error) (*ForHealth, error) {
	cfg := new(ForHealth)
	found := cfg.HTTPConfigFile.check("ROLLCALL_HTTP_CONFIG_FILE", readWeb, read(cfg))
	return cfg, cfg.Page.check(readWeb, found).orNil()
}

// ReadServe reads the configuration of the serve command; readWeb reads a web
// configuration file. The error lists all problems.
func ReadServe(readWeb func(path string) error) (*Serve, error) {
	cfg := new(Serve)
	found := cfg.Redundancy.check(cfg.NATSURL, cfg.Streams.check(cfg.Client.check(read(cfg))))
	found = cfg.HTTPConfigFile.check("ROLLCALL_HTTP_CONFIG_FILE", readWeb, found)
	return cfg, cfg.Page.check(readWeb, found).orNil()
}
