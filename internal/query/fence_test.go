package query

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestFence: with a fence, a process answers only while Answer runs and the fence lets it,
// which is asked for each answer when it is sent; who is there it always answers.
func TestFence(t *testing.T) {
	url := kit.StartServer(t).URL
	var passive atomic.Bool
	var lets atomic.Int64 // how often the fence still lets; negative: always
	lets.Store(-1)
	s := New(Config{
		Source: source(kit.Seed()), Conn: kit.Conn(t, url), Subjects: subjects, Version: "v1.2.3", Instance: "a", Log: kit.Logger(t),
		Fence: func(send func()) error {
			if passive.Load() || lets.Load() == 0 {
				return errors.New("not the active one")
			}
			if lets.Load() > 0 {
				lets.Add(-1)
			}
			send()
			return nil
		},
	})
	runService(t, s)
	nc := kit.Conn(t, url)
	there := func() bool {
		_, err := client.One(t.Context(), nc, subjects.Query("instances"), api.InstancesRequest{})
		return err == nil
	}
	ask := func() error {
		_, err := client.One(t.Context(), nc, question1, api.ReportRequest{})
		return err
	}
	kit.Eventually(t, there, "the process says that it is there")
	answers := func() bool {
		_, err := nc.Request(question1, nil, time.Minute)
		return !errors.Is(err, nats.ErrNoResponders)
	}
	if answers() {
		t.Error("it answers before it is the active one")
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Answer(ctx) }()
	kit.Eventually(t, answers, "it answers")
	if err := ask(); err != nil {
		t.Errorf("the active one: %v", err)
	}
	refused := func(when string) {
		t.Helper()
		err := ask()
		if refusal, ok := errors.AsType[*client.Refusal](err); !ok || refusal.Code != rollcallv1.CodeUnavailable || !strings.Contains(err.Error(), "not the active one") {
			t.Errorf("%s: %v", when, err)
		}
	}
	lets.Store(1) // when the question arrives, but not when its answer is sent
	refused("a process that is passive when it has built its answer")
	lets.Store(-1)
	passive.Store(true)
	refused("a process that is passive")
	if !there() {
		t.Error("a passive process does not say that it is there")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if answers() {
		t.Error("it answers when it has ended to")
	}
	if !there() {
		t.Error("a process that does not answer any more does not say that it is there")
	}
}

// TestAnswerToTheEnd: each question that has arrived when Answer ends is answered before it
// returns, or refused after it.
func TestAnswerToTheEnd(t *testing.T) {
	url := kit.StartServer(t).URL
	var passive atomic.Bool
	s := New(Config{
		Source: source(fleet(500, 10)), Conn: kit.Conn(t, url), Subjects: subjects, Version: "v1.2.3", Log: kit.Logger(t),
		Fence: func(send func()) error {
			if passive.Load() {
				return errors.New("not the active one")
			}
			send()
			return nil
		},
	})
	runService(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Answer(ctx) }()
	nc := kit.Conn(t, url)
	kit.Eventually(t, func() bool {
		_, err := nc.Request(question1, nil, time.Minute)
		return !errors.Is(err, nats.ErrNoResponders)
	}, "it answers")
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	for range n {
		if err := nc.PublishRequest(question1, inbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil { // they have left for the service
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	passive.Store(true)
	for i := range n {
		if _, err := answers.NextMsg(time.Minute); err != nil {
			t.Fatalf("%d of %d questions are answered: %v", i, n, err)
		}
	}
}
