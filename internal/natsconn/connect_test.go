package natsconn

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/internal/test/kit"
)

// connected connects and closes the connection when the test ends.
func connected(t *testing.T, o Options, more ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := Connect(t.Context(), o, "rollcall test", kit.Logger(t), more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestConnect(t *testing.T) {
	s := kit.StartServer(t, kit.WithPassword("u", secret))
	nc := connected(t, Options{URL: s.URL, User: "u", Password: secret, InboxPrefix: "_INBOX_rollcall"})
	clients, err := s.NATS().Connz(nil)
	if err != nil || len(clients.Conns) != 1 || clients.Conns[0].Name != "rollcall test" {
		t.Errorf("the server shows %+v, %v: want one connection, rollcall test", clients, err)
	}
	if inbox := nc.NewInbox(); !strings.HasPrefix(inbox, "_INBOX_rollcall.") {
		t.Errorf("inbox %q", inbox)
	}
	connected(t, Options{URL: strings.Replace(s.URL, "//", "//u:"+secret+"@", 1)})
	connected(t, Options{URL: "nats://127.0.0.1:1, " + strings.Replace(s.URL, "//", "//u:"+secret+"@", 1)})
}

func TestRefusedLogins(t *testing.T) {
	s := kit.StartServer(t, kit.WithPassword("u", "right"))
	url := strings.Replace(s.URL, "//", "//u:"+secret+"@", 1)
	expired := base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1000000000,"sub":"x"}`))
	for name, c := range map[string]struct {
		options Options
		says    []string
	}{
		"wrong password": {Options{URL: s.URL, User: "u", Password: secret}, []string{"NATS_USER with NATS_PASSWORD"}},
		"in the URL":     {Options{URL: url}, []string{"the user in NATS_URL"}},
		"token":          {Options{URL: s.URL, Token: secret}, []string{"NATS_TOKEN"}},
		"nkey":           {Options{URL: s.URL, NKey: write(t, "nk", seed)}, []string{"NATS_NKEY"}},
		"no login":       {Options{URL: s.URL}, []string{"without a login", "NATS_CREDS"}},
		"expired creds":  {Options{URL: s.URL, Creds: creds(t, expired)}, []string{"NATS_CREDS", "expired at 2001-09-09T01:46:40Z"}},
		"other creds":    {Options{URL: s.URL, Creds: creds(t, "e30")}, []string{"NATS_CREDS", "operator"}},
	} {
		t.Run(name, func(t *testing.T) {
			says := append(c.says, s.URL)
			_, err := Connect(t.Context(), c.options, "test", quiet())
			wantError(t, err, true, says...)
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error contains the secret: %v", err)
			}
			wantRetries(t, c.options, says...)
		})
	}
}

// wantRetries checks that Await retries while the server refuses the connection, and
// reports each failure to the log and the caller.
func wantRetries(t *testing.T, o Options, says ...string) {
	t.Helper()
	log, r := logger()
	ctx, cancel := context.WithCancel(t.Context())
	var reported []error
	_, err := Await(ctx, o, "test", log, func(err error) {
		// The TLS alert for a refused certificate may be lost when the server closes
		// the connection.
		if errors.Is(err, ErrConfiguration) {
			reported = append(reported, err)
		}
		if len(reported) == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v after %v", err, reported)
	}
	wantError(t, reported[1], true, says...)
	if !r.Has(`level=ERROR msg="nats refuses the connection, retrying"`) || r.Has(secret) {
		t.Errorf("the log says %s", r)
	}
}

// TestRefusedAtFirst: a login that the server does not know yet is accepted once it
// does.
func TestRefusedAtFirst(t *testing.T) {
	s := kit.StartServer(t, kit.WithPassword("other", "right"))
	refused, done := make(chan error, 100), make(chan *nats.Conn, 1)
	go func() {
		nc, err := Await(t.Context(), Options{URL: s.URL, User: "u", Password: secret}, "test", quiet(), func(err error) { refused <- err })
		if err != nil {
			t.Error(err)
		}
		done <- nc
	}()
	<-refused
	s.Stop()
	s.Start(kit.WithPassword("u", secret))
	if nc := <-done; nc != nil {
		nc.Close()
	}
}

// creds writes a file of credentials with these claims.
func creds(t *testing.T, claims string) string {
	return write(t, "creds", fmt.Sprintf(`-----BEGIN NATS USER JWT-----
e30.%s.e30
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
%s
------END USER NKEY SEED------
`, claims, seed))
}

func TestNoServer(t *testing.T) {
	s := kit.StartServer(t)
	s.Stop()
	_, err := Connect(t.Context(), Options{URL: s.URL, User: "u", Password: secret}, "test", quiet())
	wantError(t, err, false, s.URL, "no server is listening", "NATS_URL")
}

func TestAwait(t *testing.T) {
	s := kit.StartServer(t)
	s.Stop()
	log, r := logger()
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result)
	go func() {
		nc, err := Await(t.Context(), Options{URL: s.URL}, "test", log, nil)
		done <- result{nc, err}
	}()
	kit.Eventually(t, func() bool { return r.Has("nats is unreachable") }, "the log says that nats is unreachable")
	s.Start()
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	got.nc.Close()
}

func TestAwaitEndsWithTheContext(t *testing.T) {
	s := kit.StartServer(t)
	s.Stop()
	log, r := logger()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Await(ctx, Options{URL: s.URL}, "test", log, nil)
		done <- err
	}()
	kit.Eventually(t, func() bool { return r.Has("nats is unreachable") }, "the log says that nats is unreachable")
	cancel()
	err := <-done
	wantError(t, err, false, s.URL, "no server is listening")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %q doesn't wrap the context's", err)
	}
	if _, err := Await(ctx, Options{URL: s.URL}, "test", log, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestReconnect(t *testing.T) {
	s := kit.StartServer(t)
	log, r := logger()
	var lost, back, failed, closed atomic.Int32
	nc, err := Connect(t.Context(), Options{URL: s.URL}, "test", log,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost.Add(1) }),
		nats.ReconnectErrHandler(func(*nats.Conn, error) { failed.Add(1) }),
		nats.ReconnectHandler(func(*nats.Conn) { back.Add(1) }),
		nats.ClosedHandler(func(*nats.Conn) { closed.Add(1) }),
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	kit.Eventually(t, func() bool { return lost.Load() == 1 && failed.Load() > 10 }, "the connection is lost")
	s.Start()
	kit.Eventually(t, func() bool { return nc.IsConnected() && back.Load() == 1 }, "the connection is back")
	nc.Close()
	kit.Eventually(t, func() bool { return closed.Load() == 1 }, "the connection is closed")
	for _, text := range []string{"nats connection lost", "reconnecting to nats failed", "reconnected to nats"} {
		if !r.Has(text) {
			t.Errorf("log doesn't say %q:\n%s", text, r)
		}
	}
	if n := r.Count("reconnecting to nats failed"); n > 5 {
		t.Errorf("%d log lines about failed reconnects, want at most 5:\n%s", n, r)
	}
}

// TestReconnectDelay: whoever connects may say how long to wait before each attempt: a fleet
// waits longer than one service.
func TestReconnectDelay(t *testing.T) {
	s := kit.StartServer(t)
	s.Stop()
	var most atomic.Int32
	delay := nats.CustomReconnectDelay(func(attempts int) time.Duration {
		most.Store(int32(attempts))
		return time.Millisecond
	})
	wantAsked := func(what string) {
		kit.Eventually(t, func() bool { return most.Load() > 20 }, what)
		s.Start()
	}
	first := make(chan *nats.Conn)
	go func() {
		nc, err := Await(t.Context(), Options{URL: s.URL}, "test", kit.Logger(t), nil, delay)
		if err != nil {
			t.Error(err)
		}
		first <- nc
	}()
	wantAsked("it is asked before the first connection")
	nc := <-first
	if nc == nil {
		return
	}
	defer nc.Close()
	most.Store(0)
	s.Stop()
	wantAsked("it is asked when the connection is lost")
	kit.Eventually(t, nc.IsConnected, "the connection is back")
}

// A connection survives a later refusal: the server may be in the middle of a
// reconfiguration.
func TestRefusedLater(t *testing.T) {
	s := kit.StartServer(t)
	log, r := logger()
	nc, err := Connect(t.Context(), Options{URL: s.URL}, "test", log,
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Stop()
	s.Start(kit.WithPassword("u", "right"))
	kit.Eventually(t, func() bool { return r.Count("nats refuses the login") >= 3 }, "the log reports the refusals")
	s.Stop()
	s.Start(kit.WithPassword("", ""))
	kit.Eventually(t, nc.IsConnected, "the connection is back")
}

// A protocol error closes the connection for good, which nothing else reports.
func TestClosedForGood(t *testing.T) {
	s := kit.StartServer(t)
	log, r := logger()
	closed := make(chan struct{})
	nc, err := Connect(t.Context(), Options{URL: s.URL}, "test", log,
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish(strings.Repeat("x", 5000), nil); err != nil {
		t.Fatal(err)
	}
	<-closed
	if !r.Has("level=WARN msg=\"nats connection closed\"") {
		t.Errorf("the log lacks the closed connection:\n%s", r)
	}
}

func TestAsyncErrors(t *testing.T) {
	s := kit.StartServer(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: secret, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"denied"}},
		}}}
	})
	log, r := logger()
	var calls atomic.Int32
	nc, err := Connect(t.Context(), Options{URL: s.URL, User: "u", Password: secret}, "test", log,
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { calls.Add(1) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("much")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(1, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"denied", "much", "much", "much"} {
		if err := nc.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	kit.Eventually(t, func() bool { return calls.Load() >= 2 }, "our own handler gets both errors")
	for _, text := range []string{"nats denies a permission", "denied", "user=u", "nats subscription is too slow", "subject=much"} {
		if !r.Has(text) {
			t.Errorf("log doesn't say %q:\n%s", text, r)
		}
	}
}
