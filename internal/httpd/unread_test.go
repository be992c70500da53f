package httpd

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"rollcall/internal/test/kit"
)

// TestClientThatDoesNotRead: a client that requests a large answer and doesn't read
// it is disconnected, and so does not delay the shutdown, which waits for answers in
// flight.
func TestClientThatDoesNotRead(t *testing.T) {
	help, value := strings.Repeat("x", 32<<20), 1.0 // more than the sockets buffer
	entered := make(chan struct{}, 1)
	huge := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		entered <- struct{}{}
		return []*dto.MetricFamily{{
			Name: proto.String("huge"), Help: &help, Type: dto.MetricType_GAUGE.Enum(),
			Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}},
		}}, nil
	})
	s, err := Listen(ServerConfig{
		Addr: "127.0.0.1:0", Gatherer: huge, Log: kit.Logger(t),
		Timeouts: Timeouts{Write: 50 * time.Millisecond, Shutdown: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	cancel()
	kit.Eventually(t, func() bool { return len(served) == 1 }, "the server has ended")
	if err := <-served; err != nil {
		t.Error(err)
	}
}
