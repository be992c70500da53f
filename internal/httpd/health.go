package httpd

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Check is one of the checks of /readyz.
type Check struct {
	Name string
	// Decides says that the service isn't ready while the check fails; other checks
	// are informational.
	Decides bool
	// Run reports whether the check holds, and its state in a few words:
	// "connected". It must be quick and safe for concurrent use.
	Run func() (holds bool, state string)
}

func livez(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

// readyz answers like Kubernetes: ok, or a line for each check and the result.
func readyz(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ready, list := runChecks(checks)
		switch {
		case !ready:
			writeText(w, http.StatusServiceUnavailable, list+"readyz check failed\n")
		case r.URL.Query().Has("verbose"):
			writeText(w, http.StatusOK, list+"readyz check passed\n")
		default:
			writeText(w, http.StatusOK, "ok\n")
		}
	})
}

// runChecks runs all checks and lists them, one a line: "[+] nats: connected".
func runChecks(checks []Check) (ready bool, list string) {
	var b strings.Builder
	ready = true
	for _, c := range checks {
		holds, state := c.Run()
		sign, note := "+", ""
		if !holds {
			sign = "-"
			//guard:drop "no request reaches a service that is catching up" TestReady
			//guard:false "the service is ready while NATS is down" TestReady
			ready = ready && !c.Decides
			if !c.Decides {
				note = " (ready without it)"
			}
		}
		fmt.Fprintf(&b, "[%s] %s: %s%s\n", sign, c.Name, state, note)
	}
	return ready, b.String()
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may have disconnected
}
