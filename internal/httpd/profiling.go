package httpd

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// maxProfileSeconds bounds ?seconds=: net/http/pprof extends the server's write
// time-out by that much.
const maxProfileSeconds = 60

// ListenProfiling listens on an address for requests of the Go profiles at
// /debug/pprof/: CPU, memory, goroutines, a trace, over a minute at most. Profiles
// expose internals of the process and cost time, so they are not served on the
// public address. A warning is logged if other machines can reach the address.
func ListenProfiling(addr string, log *slog.Logger) (*Server, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	listener, err := listen(addr, "profiling", "set ROLLCALL_PPROF_ADDR to")
	if err != nil {
		return nil, err
	}
	if reachable(listener) {
		log.Warn("profiling is open to other machines, without a login", "addr", listener.Addr().String())
	}
	return newServer(listener, maxProfilingConnections, limitSeconds(mux), Timeouts{}.withDefaults(), log), nil
}

// limitSeconds refuses profiles that take too long.
func limitSeconds(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// For a value that is not a number, pprof uses its default.
		if seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && seconds > maxProfileSeconds {
			writeText(w, http.StatusBadRequest, "seconds: at most 60\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}
