package config

import (
	"cmp"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Given is the connection that flags give. Flags have precedence over the context, and
// that over the environment.
type Given struct {
	Server  string // --server
	Creds   string // --creds
	Context string // --context: of the nats tool; "" is the one that NATS_CONTEXT names
}

// layer has settings that replace those of the environment.
type layer struct {
	values  map[string]string // by variable
	names   map[string]string // what sets each, for messages
	context bool              // it is a context of the nats tool
	where   string            // where to change them, for messages
}

// loginVariables are those of a login. A layer with one of them has none of the others:
// logins do not mix.
var loginVariables = []string{"NATS_CREDS", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN", "NATS_NKEY"}

// override replaces settings by those of the context and of the flags, and returns what
// is wrong with those in use. Found are the problems of the environment, whose context is
// the one named.
func (c *Client) override(given *Given, named string, found Problems) Problems {
	if given == nil {
		return c.check(found)
	}
	by := "--context"
	name := given.Context
	if name == "" {
		by, name = "NATS_CONTEXT", named
	}
	if name != "" {
		context, problems := readContext(by, name)
		found = append(c.replace(context, found), problems...)
	}
	flags := layer{values: map[string]string{}, names: map[string]string{"NATS_URL": "--server", "NATS_CREDS": "--creds"}}
	for variable, value := range map[string]string{"NATS_URL": given.Server, "NATS_CREDS": given.Creds} {
		if value != "" {
			flags.values[variable] = value
		}
	}
	return c.check(c.replace(flags, found))
}

// hasLogin reports whether the layer decides as whom to log in. A context with a server
// does, even if it has no login: a password of the environment is not for that server.
func (l layer) hasLogin() bool {
	server, ok := l.values["NATS_URL"]
	return ok && (l.context || strings.Contains(server, "@")) ||
		slices.ContainsFunc(loginVariables, func(variable string) bool { return l.values[variable] != "" })
}

// replace replaces the settings that the layer has. Problems of what it replaces are
// dropped, those of its own values are added.
func (c *Client) replace(l layer, found Problems) Problems {
	drop := func(variables ...string) {
		for _, variable := range variables {
			value, _ := c.setting(variable)
			*value = ""
			delete(c.names, variable)
		}
		found = slices.DeleteFunc(found, func(p problem) bool { return Problems{p}.concerns(variables...) })
	}
	//guard:false "a password is not sent to another server" TestLayers
	if l.hasLogin() {
		drop(loginVariables...)
		c.NATSURL = withoutUsers(c.NATSURL)
	}
	if cmp.Or(l.values["NATS_CERT"], l.values["NATS_KEY"]) != "" {
		drop("NATS_CERT", "NATS_KEY")
	}
	for _, variable := range slices.Sorted(maps.Keys(l.values)) {
		drop(variable)
		if err := c.set(variable, l.values[variable]); err != nil {
			found = append(found, problem{l.names[variable], err.problem, err.remedy + l.where})
		}
		if c.names == nil {
			c.names = make(map[string]string)
		}
		c.names[variable] = l.names[variable]
	}
	return found
}

// set sets a variable.
func (c *Client) set(variable, value string) *fault {
	var why *fault
	if _, s := c.setting(variable); s != nil && errors.As(s.Set(value), &why) {
		return why
	}
	return nil
}

// setting returns the value of a variable and how it is set.
func (c *Client) setting(variable string) (value *string, setter interface{ Set(value string) error }) {
	switch variable {
	case "NATS_URL":
		return (*string)(&c.NATSURL), &c.NATSURL
	case "NATS_CREDS":
		return (*string)(&c.NATSCreds), &c.NATSCreds
	case "NATS_USER":
		return &c.NATSUser, (*secret)(&c.NATSUser)
	case "NATS_PASSWORD":
		return (*string)(&c.NATSPassword), &c.NATSPassword
	case "NATS_TOKEN":
		return (*string)(&c.NATSToken), &c.NATSToken
	case "NATS_NKEY":
		return (*string)(&c.NATSNkey), &c.NATSNkey
	case "NATS_CA":
		return (*string)(&c.NATSCA), &c.NATSCA
	case "NATS_CERT":
		return (*string)(&c.NATSCert), &c.NATSCert
	case "NATS_KEY":
		return (*string)(&c.NATSKey), &c.NATSKey
	case "NATS_INBOX_PREFIX":
		return (*string)(&c.NATSInboxPrefix), &c.NATSInboxPrefix
	case "NATS_JS_DOMAIN":
		return (*string)(&c.NATSJSDomain), &c.NATSJSDomain
	}
	return new(string), nil
}

// withoutUsers returns addresses without their users and passwords.
func withoutUsers(servers serverURL) serverURL {
	list := strings.Split(string(servers), ",")
	for i, server := range list {
		if u, err := url.Parse(server); err == nil && u.User != nil {
			u.User = nil
			list[i] = u.String()
		} else if at := strings.LastIndex(server, "@"); at >= 0 { // without a scheme
			list[i] = server[at+1:]
		}
	}
	return serverURL(strings.Join(list, ","))
}
