package config

import (
	"os"
	"path/filepath"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
)

// Agent is the configuration of the agent command.
type Agent struct {
	Client
	AgentSettings
	Logs
}

// AgentSettings are the variables that only the agent has.
type AgentSettings struct {
	AgentMachine machineName `split_words:"true" desc:"name of the machine" shown:"the host name"`
	AgentSince   since       `split_words:"true" default:"boot" desc:"from where the first start reads the journal: boot; now, on a machine that had another publisher; all, on one that rollcall has never heard of"`
	AgentPresent listing     `split_words:"true" default:"15m" desc:"how often the agent lists who is on, from 1m to 24h"`
	AgentSpool   size        `split_words:"true" default:"64MiB" desc:"most bytes of events that wait for the server; beyond that the oldest are lost, and counted"`
	AgentDir     string      `split_words:"true" default:"/var/lib/rollcall-agent" desc:"folder of the spool"`
	AgentSocket  string      `split_words:"true" default:"/run/rollcall-agent/socket" desc:"socket on which root tells of logins that logind does not see"`
}

// machineName is the name of a machine.
type machineName string

// Set reads a name that the service accepts.
func (m *machineName) Set(value string) error {
	if problem := wire.NameProblem(value); problem != "" {
		return invalid(value, "is no name: "+problem, "use 1 to 255 bytes of visible text")
	}
	*m = machineName(value)
	return nil
}

// since is from where the first start reads the journal: see the variable.
type since string

// Set reads boot, now or all.
func (s *since) Set(value string) error {
	if value == "boot" || value == "now" || value == "all" {
		*s = since(value)
		return nil
	}
	return invalid(value, "is unknown", "use boot, now or all")
}

// listing is how often an agent lists who is on.
type listing time.Duration

// Set reads a value such as 15m.
func (l *listing) Set(value string) error {
	d, err := duration(value)
	if err == nil && (d < roster.MinEvery || d > roster.MaxEvery) {
		err = invalid(value, "is out of range", "use 1m to 24h")
	}
	*l = listing(d)
	return err
}

// Name returns the name of the machine. The error is a [Problems].
func (a *AgentSettings) Name() (string, error) {
	if a.AgentMachine != "" {
		return string(a.AgentMachine), nil
	}
	const remedy = "set ROLLCALL_AGENT_MACHINE to the name by which people know it"
	name, err := os.Hostname()
	switch {
	case err != nil:
		return "", NewProblem("ROLLCALL_AGENT_MACHINE", "not set, and the host name cannot be read: "+err.Error(), remedy)
	case name == "localhost" || name == "localhost.localdomain" || wire.NameProblem(name) != "":
		return "", NewProblem("ROLLCALL_AGENT_MACHINE", "not set, and the host name is "+name, remedy)
	}
	return name, nil
}

// ReadAgent reads the configuration of the agent. The error lists all problems.
func ReadAgent() (*Agent, error) {
	cfg := new(Agent)
	found := cfg.Client.check(read(cfg))
	if !filepath.IsAbs(cfg.AgentSocket) {
		found = append(found, problem{"ROLLCALL_AGENT_SOCKET", "is not a whole path", "begin it with /"})
	}
	return cfg, found.orNil()
}

// Every returns how often the agent lists who is on.
func (a *AgentSettings) Every() time.Duration { return time.Duration(a.AgentPresent) }
