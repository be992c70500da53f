// Package access decides who may see the page: names of people are on all of it.
//
// A request passes, in this order: the name of the host in it, the method, and where in the
// browser it comes from (gate.go); the address of the proxy, if there is one, and the user
// whom it names; the users of the web configuration file; and whether there was any login
// where one is needed (user.go). /livez, which has no names, needs the first three only.
// streams.go bounds the streams of events, and writes them.
package access

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
)

// Config configures the listener of the page.
type Config struct {
	// Addr is where to listen; port 0 is any free one.
	Addr string
	// ConfigFile is the page's web configuration file; "" if it has none.
	ConfigFile string
	// Hosts are the names by which browsers reach the page, beside those of loopback.
	Hosts []string
	// TrustedProxies are the only peers let in, if there are any; UserHeader is the header
	// in which they name the user.
	TrustedProxies []netip.Prefix
	UserHeader     string
	// Handler answers the requests that are let in.
	Handler http.Handler
	Log     *slog.Logger
	// Timeouts that are 0 get their defaults.
	Timeouts httpd.Timeouts
}

// maxConnections bounds the connections: over HTTP/1.1 each stream has one, and a browser
// some more for pages.
const maxConnections = 2 * maxStreams

// Listener listens for the page.
type Listener struct {
	*httpd.Server
	// Open says that every user of this machine can see the page without a login.
	Open bool
}

// Listen listens on the address, so that an address in use is an error at once, which
// matches [httpd.ErrInUse]. It refuses to let other machines in without a login: that error
// is a [config.Problems].
func Listen(c Config) (*Listener, error) {
	var file httpd.WebConfig
	if c.ConfigFile != "" {
		var err error
		if file, err = httpd.ReadWebConfig(c.ConfigFile); err != nil {
			return nil, config.NewProblem("ROLLCALL_PAGE_CONFIG_FILE", fmt.Sprintf("%q is invalid: %v", c.ConfigFile, err), "correct the file")
		}
	}
	g := &gate{hosts: c.Hosts, proxies: c.TrustedProxies, userHeader: c.UserHeader, logins: logins{path: c.ConfigFile}}
	server, err := httpd.ListenHandler(httpd.HandlerConfig{
		Addr: c.Addr, For: "the page", Remedy: "set ROLLCALL_PAGE_ADDR to off, or to",
		Handler: g.inside(c.Handler), Before: g.outside, EndRequests: true, MaxConnections: maxConnections,
		WebConfigFile: c.ConfigFile, Log: c.Log, Timeouts: c.Timeouts,
	})
	if err != nil {
		return nil, err
	}
	secured := file.Users || file.ClientCertificates || len(c.TrustedProxies) > 0
	//guard:drop server.Reachable "the page is not open to other machines" TestRefusesToListen
	//guard:drop slices.ContainsFunc "the page is not open to those behind a tunnel" TestRefusesToListen
	elsewhere := server.Reachable() || slices.ContainsFunc(c.Hosts, func(host string) bool { return !isLoopback(host) })
	//guard:false "the page is not open to other machines without a login" TestRefusesToListen
	if elsewhere && !secured {
		server.Close()
		return nil, open(c, server.Reachable())
	}
	g.needsLogin = secured
	return &Listener{server, !secured}, nil
}

// open is the error of a page that would be open to other machines.
func open(c Config, reachable bool) error {
	name, why := "ROLLCALL_PAGE_HOSTS", fmt.Sprintf("%q are names for other machines", c.Hosts)
	if reachable {
		name, why = "ROLLCALL_PAGE_ADDR", fmt.Sprintf("%q can be reached from other machines", c.Addr)
	}
	return config.NewProblem(name, why+", and without a login everybody there could see who is logged in where",
		"set ROLLCALL_PAGE_CONFIG_FILE to a web configuration file with users, or with client_auth_type: RequireAndVerifyClientCert, "+
			"or set ROLLCALL_PAGE_TRUSTED_PROXIES and ROLLCALL_PAGE_USER_HEADER for a proxy that logs users in; or use loopback only")
}
