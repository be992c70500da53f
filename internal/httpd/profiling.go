package httpd

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// longestProfile bounds what ?seconds= asks for: net/http/pprof puts off the
// server's time-out for as long as it says.
const longestProfile = 60

// ListenProfiling takes an address for the Go profiles at /debug/pprof/: CPU,
// memory, goroutines, a trace, over a minute at most. They show how the process works
// inside, and taking one costs time, so they are apart from all that is to be
// reached from outside; an address that others reach is warned of.
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
		// What is no number the profiles take for the default.
		if seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && seconds > longestProfile {
			writeText(w, http.StatusBadRequest, "seconds: at most 60\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}
