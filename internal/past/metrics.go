package past

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	underWay prometheus.Gauge
	ended    *prometheus.CounterVec
}

// How a question ends.
const (
	resultAnswered = "answered"
	resultUnasked  = "unasked" // nobody asked on
	resultRefused  = "refused" // too many were under way, or it has no answer
	resultFailed   = "failed"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_past_questions",
			Help: "Questions about the past that are under way.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_past_questions_total",
			Help: "Questions about the past that ended since the process began, by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{resultAnswered, resultUnasked, resultRefused, resultFailed} {
		m.ended.WithLabelValues(result)
	}
	reg.MustRegister(m.underWay, m.ended)
	return m
}

// Why a question ended, beside an error of its own.
var (
	errAnswered = errors.New("all rows were handed out")
	errUnasked  = errors.New("nobody asked on")
)

func resultOf(cause error) string {
	switch {
	case errors.Is(cause, errAnswered):
		return resultAnswered
	case errors.Is(cause, errUnasked):
		return resultUnasked
	case errors.Is(cause, ErrUnknownMachine), errors.Is(cause, ErrTooLarge):
		return resultRefused
	}
	return resultFailed
}
