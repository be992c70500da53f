package httpd

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// longestProfile bounds ?seconds=: net/http/pprof extends the server's write
// time-out by that much.
const longestProfile = 60

// ListenProfiling listens on an address for requests of the Go profiles at
// /debug/pprof/: CPU, memory, goroutines, a trace, over a minute at most. They show
// how the process works inside, and taking one costs time, so they are kept apart
// from everything that outsiders should reach. A warning is logged if other
// machines can reach the address.
func ListenProfiling(addr string, log *slog.Logger) (*Server, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	listener, err := listen(addr, "profiling", "ROLLCALL_PPROF_ADDR")
	if err != nil {
		return nil, err
	}
	if reachable(listener) {
		log.Warn("profiling can be reached from other machines, by anybody", "addr", listener.Addr().String())
	}
	return newServer(listener, maxProfiling, bounded(mux), Timeouts{}.withDefaults(), log), nil
}

// bounded refuses profiles that take too long.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// pprof replaces a value that is not a number by its default.
		if seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && seconds > longestProfile {
			writeText(w, http.StatusBadRequest, "seconds: at most 60\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}
