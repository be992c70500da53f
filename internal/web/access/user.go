package access

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"rollcall/internal/httpd"
)

// asker is who sends a request: a user, by the kind of login, or a peer's address.
type asker struct{ kind, name string }

type askerKey struct{}

func withAsker(r *http.Request, a asker) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), askerKey{}, a))
}

func askerOf(r *http.Request) asker {
	if a, ok := r.Context().Value(askerKey{}).(asker); ok {
		return a
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return asker{"address", r.RemoteAddr}
	}
	return asker{"address", peer.Addr().Unmap().String()}
}

// User returns the name of the user who has logged in: as the proxy names them, of the web
// configuration file, or the subject of the client's certificate. It is "" without a login.
func User(r *http.Request) string {
	if a := askerOf(r); a.kind != "address" {
		return a.name
	}
	return ""
}

// Key returns what limits go by: the user, or without a login the address of the peer.
func Key(r *http.Request) string {
	a := askerOf(r)
	return a.kind + " " + a.name
}

// inside is behind the check of the users in the web configuration file. It finds out who
// has logged in.
func (g *gate) inside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := askerOf(r)
		//guard:true "the user is the one whom the proxy names" TestProxyAndUsers
		if a.kind == "address" {
			a = g.loggedIn(r, a)
		}
		// The file may have lost its users, or its demand for certificates, since the start.
		//guard:false "the page does not open when the file loses its users" TestUsersRemoved
		if g.needsLogin && a.kind == "address" {
			writeText(w, http.StatusForbidden, "The page needs a login, but its web configuration file has no users and requires no client certificates any more.")
			return
		}
		next.ServeHTTP(w, withAsker(r, a))
	})
}

// loggedIn returns the user of the web configuration file, or else of the certificate.
func (g *gate) loggedIn(r *http.Request, peer asker) asker {
	// Without users in the file nobody has checked the password.
	//guard:drop g.logins.haveUsers "a name without a checked password is nobody" TestWho
	if name, _, ok := r.BasicAuth(); ok && g.logins.haveUsers() {
		return asker{"user", name}
	}
	//guard:drop VerifiedChains "a certificate that nobody verified is nobody" TestWho
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return asker{"certificate", r.TLS.VerifiedChains[0][0].Subject.String()}
	}
	return peer
}

// logins tells whether the web configuration file has users, as it is now.
type logins struct {
	path string // "": there is no file

	mu       sync.Mutex
	modified time.Time
	size     int64
	users    bool
}

func (l *logins) haveUsers() bool {
	if l.path == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	info, err := os.Stat(l.path)
	if err != nil {
		return false
	}
	if !info.ModTime().Equal(l.modified) || info.Size() != l.size {
		found, err := httpd.ReadWebConfig(l.path)
		l.modified, l.size, l.users = info.ModTime(), info.Size(), err == nil && found.Users
	}
	return l.users
}
