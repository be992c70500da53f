package access

import (
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// gate decides who is let in.
type gate struct {
	hosts      []string
	proxies    []netip.Prefix
	userHeader string
	logins     logins
	// needsLogin says that there was a way to log in at the start: without a login nobody is
	// let in then, whatever becomes of the file.
	needsLogin bool
}

// policy is what the page may load: its own scripts, styles and images, and nothing of
// others; scripts make HTML of text by one Trusted Types policy only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types rollcall"

// outside answers what needs no login: refusals, and /livez. It is before the check of the
// users in the web configuration file, so that also the answers of that have the headers.
func (g *gate) outside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), r)
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // what follows is not read
		}
		status, why := g.refusal(r)
		switch {
		case status == http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "GET, HEAD")
			writeText(w, status, why)
		case status != 0:
			writeText(w, status, why)
		case r.URL.Path == "/livez":
			writeText(w, http.StatusOK, "ok")
		default:
			g.admitProxy(w, r, next)
		}
	})
}

// secure sets the security headers of an answer.
func secure(h http.Header, r *http.Request) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Names are in the paths: a link to elsewhere must not tell them.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // the handler may set another
	// Not for localhost: it would hold for every other program there, on any port.
	//guard:drop isLoopback "other programs on localhost stay reachable" TestTransportSecurity
	if host, ok := hostOf(r.Host); r.TLS != nil && ok && !isLoopback(host) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// refusal returns the status and the reason with which a request is refused, whoever sends
// it; 0 if it is not.
func (g *gate) refusal(r *http.Request) (status int, why string) {
	switch host, ok := hostOf(r.Host); {
	//guard:false "no other site's name leads to the page" TestHosts
	case !ok || !g.knows(host):
		return http.StatusMisdirectedRequest, "The page is not known by this host name: add it to ROLLCALL_PAGE_HOSTS, or use http://localhost."
	//guard:false "nothing but GET and HEAD is answered" TestMethods
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return http.StatusMethodNotAllowed, "The page answers GET and HEAD only."
	//guard:false "no body is read" TestMethods
	case r.ContentLength != 0:
		return http.StatusBadRequest, "The page reads no body: send the request without one."
	//guard:false "other sites cannot load anything of the page" TestFetchMetadata
	case !g.isOwn(r):
		return http.StatusForbidden, "Another site asked for this: open the page by its address, or by a link."
	}
	return 0, ""
}

// knows reports whether the page is called so.
func (g *gate) knows(host string) bool { return isLoopback(host) || slices.Contains(g.hosts, host) }

// hostOf returns the host of a Host header in lower case, without the port: a name, or an
// address.
func hostOf(header string) (host string, ok bool) {
	if addr, err := netip.ParseAddrPort(header); err == nil {
		return addr.Addr().String(), true
	}
	if inner, found := strings.CutPrefix(header, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return addr.String(), found && err == nil && addr.Is6()
	}
	name, port, hasPort := strings.Cut(header, ":")
	if strings.Trim(port, "0123456789") != "" || hasPort && port == "" {
		return "", false
	}
	return strings.ToLower(name), name != ""
}

// isLoopback reports whether a host is this machine whatever the resolver says: localhost,
// 127.0.0.0/8 or ::1.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	return addr == netip.IPv6Loopback() || addr.Is4() && addr.IsLoopback()
}

// isOwn reports whether a browser sends the request for a page of ours, or because somebody
// opens one. Programs other than browsers send none of these headers, and are let through.
// See https://www.w3.org/TR/fetch-metadata/.
func (g *gate) isOwn(r *http.Request) bool {
	one := func(header string) string { return strings.Join(r.Header.Values(header), ", ") }
	switch one("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		// Browsers send it to https and localhost only, but Origin with what can be read
		// across sites.
		origin := one("Origin")
		u, err := url.Parse(origin)
		if origin == "" {
			return true
		}
		if err != nil {
			return false
		}
		host, ok := hostOf(u.Host)
		return ok && g.knows(host)
	}
	return one("Sec-Fetch-Mode") == "navigate" && one("Sec-Fetch-Dest") == "document"
}

// admitProxy lets in the trusted proxies, if there are any, with the user they name; and
// everybody, if there are none.
func (g *gate) admitProxy(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if len(g.proxies) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	//guard:false "nobody passes by the proxy" TestProxies
	if !g.isProxy(r) {
		writeText(w, http.StatusForbidden, "The page is behind a proxy: use its address. For the proxy itself, see ROLLCALL_PAGE_TRUSTED_PROXIES.")
		return
	}
	names := r.Header.Values(g.userHeader)
	//guard:drop "len(names) != 1" "a user who sends the header too is not taken at their word" TestProxies
	//guard:drop TrimSpace "the proxy has logged somebody in" TestProxies
	if len(names) != 1 || strings.TrimSpace(names[0]) == "" || len(names[0]) > maxName {
		writeText(w, http.StatusUnauthorized, "The proxy names no user: it has to set the header of ROLLCALL_PAGE_USER_HEADER, once, after it has logged somebody in.")
		return
	}
	next.ServeHTTP(w, withAsker(r, asker{kind: "proxy", name: strings.TrimSpace(names[0])}))
}

// maxName is how long the name of a user may be, in bytes.
const maxName = 1024

// isProxy reports whether the peer is a trusted proxy.
func (g *gate) isProxy(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(g.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// writeText answers with a line.
func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the client may have disconnected
}
