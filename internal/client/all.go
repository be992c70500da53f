package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

const (
	// collectFor is how long answers of several processes are collected, maxInstancesAsked
	// how many.
	collectFor        = 2 * time.Second
	maxInstancesAsked = 100
)

// Instances asks every process on these subjects who it is, and returns what they answer
// within two seconds, the active ones first, each answer as it was received and decoded.
func Instances(ctx context.Context, nc *nats.Conn, subjects rollcallv1.Subjects) (answers [][]byte, all []api.Instance, err error) {
	subject := subjects.Query("instances")
	question, err := json.Marshal(api.InstancesRequest{})
	if err != nil {
		return nil, nil, fmt.Errorf("asking on %s: %w", subject, err)
	}
	inbox := nc.NewInbox()
	replies, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, nil, fmt.Errorf("asking on %s: %w", subject, err)
	}
	defer replies.Unsubscribe() //nolint:errcheck // the connection may be gone
	if err := nc.PublishRequest(subject, inbox, question); err != nil {
		return nil, nil, fmt.Errorf("asking on %s: %w", subject, err)
	}
	within, cancel := context.WithTimeout(ctx, collectFor)
	defer cancel()
	type answer struct {
		raw      []byte
		instance api.Instance
	}
	var found []answer
	for len(found) < maxInstancesAsked {
		m, err := replies.NextMsgWithContext(within)
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, nil, context.Cause(ctx)
		}
		i, err := api.Decode[api.Instance](m.Data)
		if err == nil && !slices.ContainsFunc(found, func(a answer) bool { return a.instance.ID == i.ID }) {
			found = append(found, answer{m.Data, i})
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("no rollcall answers on %s: is `rollcall serve` running on this NATS server?", subject)
	}
	slices.SortStableFunc(found, func(a, b answer) int { return compareInstances(&a.instance, &b.instance) })
	for _, a := range found {
		answers, all = append(answers, a.raw), append(all, a.instance)
	}
	return answers, all, nil
}

// compareInstances orders instances: the active ones first, then by their starts.
func compareInstances(a, b *api.Instance) int {
	if a.Active != b.Active {
		if a.Active {
			return -1
		}
		return 1
	}
	return a.Started.Compare(b.Started)
}
