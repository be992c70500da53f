package natsconn

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const fewConsumers = "few_consumers"

// askAccount is how long to wait for what the account allows. A login that may not
// ask gets no answer.
const askAccount = 2 * time.Second

// consumerRisks returns the risk that the stream, or its account, allows fewer
// consumers than we need: then reading, or a question about the past, waits until
// another consumer is gone.
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
				fewConsumers, "stream has too few consumers for reading and for all questions about the past: raise the limit, or lower ROLLCALL_MAX_PAST_QUESTIONS",
				[]any{limit.setting, limit.most, "needed", s.Consumers},
			}}
		}
	}
	return nil
}

// NoteAccount returns the streams with what their account allows, as far as this
// login may know that, and logs what is too little.
func (s Streams) NoteAccount(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, log *slog.Logger) Streams {
	ctx, cancel := context.WithTimeout(ctx, askAccount)
	defer cancel()
	account, err := js.AccountInfo(ctx)
	if err != nil {
		log.Debug("the limits of the account are not known", "err", err)
		return s
	}
	known := len(s.consumerRisks(info))
	s.AccountConsumers = account.Limits.MaxConsumers
	for _, risk := range s.consumerRisks(info)[known:] {
		s.log(ctx, risk, info, log)
	}
	return s
}
