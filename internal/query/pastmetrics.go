package query

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// pastMetrics count questions about the past.
type pastMetrics struct {
	waiting prometheus.Gauge
	results *prometheus.CounterVec
}

// How a question about the past ended.
const (
	resultAnswered = "answered"
	resultBusy     = "busy"
	resultFailed   = "failed"
)

func newPastMetrics(reg prometheus.Registerer) *pastMetrics {
	m := &pastMetrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_history_questions",
			Help: "Questions about the past that wait or are being answered.",
		}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_history_questions_total",
			Help: "Questions about the past that ended since the process began, by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{resultAnswered, resultBusy, resultFailed} {
		m.results.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(m.waiting, m.results)
	}
	return m
}

// began counts a question that was queued, if it is about the past.
func (m *pastMetrics) began(past bool) {
	if past {
		m.waiting.Inc()
	}
}

// refused counts a question that was not queued.
func (m *pastMetrics) refused(past bool) {
	if past {
		m.results.WithLabelValues(resultBusy).Inc()
	}
}

// ended counts a question that was queued, and answered or refused.
func (m *pastMetrics) ended(past bool, err error) {
	if !past {
		return
	}
	m.waiting.Dec()
	result := resultAnswered
	if refused, ok := errors.AsType[*refusal](err); ok && refused.code == rollcallv1.CodeBusy {
		result = resultBusy
	} else if err != nil && (!ok || refused.code >= rollcallv1.CodeInternal) {
		result = resultFailed
	}
	m.results.WithLabelValues(result).Inc()
}
