package snapshot

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	errors   prometheus.Counter
	duration prometheus.Histogram
}

// newMetrics registers the metrics of snapshots. The gauges are 0 until a snapshot
// has been saved or loaded.
func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	with := promauto.With(reg)
	with.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_snapshot_timestamp_seconds",
		Help: "When the last snapshot was written, in seconds since 1970; 0 if there is none. No snapshot is written while no message arrives.",
	}, func() float64 {
		last, ok := s.Last()
		if !ok {
			return 0
		}
		return float64(last.Written.UnixMilli()) / 1000
	})
	with.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_snapshot_size_bytes",
		Help: "Size of the last snapshot file; 0 if there is none.",
	}, func() float64 {
		last, _ := s.Last()
		return float64(last.Size)
	})
	return &metrics{
		errors: with.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_snapshot_errors_total",
			Help: "Snapshots that could not be saved, and those found damaged or unreadable at the start.",
		}),
		duration: with.NewHistogram(prometheus.HistogramOpts{
			Name:    "rollcall_snapshot_duration_seconds",
			Help:    "Time to save a snapshot, from the cut until it is verified, including the wait for dead letters.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 15), // to 82 seconds
		}),
	}
}
