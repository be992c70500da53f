package natsconn

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const fewConsumers = "few_consumers"

// accountTimeout bounds the request for the account's limits. A login without
// permission for it gets no answer.
const accountTimeout = 2 * time.Second

// consumerRisks returns a risk if the stream, or its account, allows fewer
// consumers than we need: reading, or catching up with the history, then waits until
// another consumer is deleted.
func (s Streams) consumerRisks(info *jetstream.StreamInfo) []Risk {
	for _, limit := range []struct {
		setting string
		most    int
	}{
		{"max_consumers", info.Config.MaxConsumers},
		{"account_max_consumers", s.AccountConsumers},
	} {
		if limit.most > 0 && limit.most < s.Consumers {
			return []Risk{{
				fewConsumers, "stream allows too few consumers for reading and for the history to catch up: raise the limit",
				[]any{limit.setting, limit.most, "needed", s.Consumers},
			}}
		}
	}
	return nil
}

// WithAccountLimits returns the streams with the account's limit of consumers set, if
// this login may see it, and logs the risk if the limit is too low.
func (s Streams) WithAccountLimits(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, log *slog.Logger) Streams {
	ctx, cancel := context.WithTimeout(ctx, accountTimeout)
	defer cancel()
	account, err := js.AccountInfo(ctx)
	if err != nil {
		log.Debug("account limits unknown", "err", err)
		return s
	}
	known := len(s.consumerRisks(info))
	s.AccountConsumers = account.Limits.MaxConsumers
	for _, risk := range s.consumerRisks(info)[known:] {
		s.log(ctx, risk, info, log)
	}
	return s
}
