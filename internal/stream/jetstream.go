package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
)

// jetStream is the source on a real server.
type jetStream struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	api    string // begins the subjects of requests
	stream string
	// consumer is the name of the reader's consumer.
	consumer string
	beat     time.Duration // how often an idle server sends a heartbeat
}

// apiTimeout is how long the server may take to answer.
const apiTimeout = 5 * time.Second

func (s *jetStream) info(ctx context.Context) (state, error) {
	info, err := s.streamInfo(ctx)
	if err != nil {
		return state{}, err
	}
	st := state{created: roster.TimeOf(info.Created), first: info.State.FirstSeq, last: info.State.LastSeq, configuredFirst: info.Config.FirstSeq}
	if info.State.Msgs == 0 {
		st.first = st.last + 1
	}
	return st, nil
}

func (s *jetStream) deleted(ctx context.Context) ([]uint64, error) {
	info, err := s.streamInfo(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, err
	}
	return info.State.Deleted, nil
}

func (s *jetStream) streamInfo(ctx context.Context, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.stream)
	if err == nil && len(options) > 0 {
		_, err = stream.Info(ctx, options...)
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("stream %s: %w", s.stream, errNoStream)
	case err != nil:
		return nil, fmt.Errorf("requesting the state of stream %s: %w", s.stream, err)
	}
	return stream.CachedInfo(), nil
}

// stored is a message as the stream's leader returns it.
type stored struct {
	Subject string    `json:"subject"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// get does not use the library, which would ask any replica: a replica may be
// behind, and its answer has headers that the message does not have.
func (s *jetStream) get(ctx context.Context, seq uint64) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	reply, err := s.nc.RequestWithContext(ctx, s.api+"STREAM.MSG.GET."+s.stream, fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		return Message{}, fmt.Errorf("getting message %d: %w", seq, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return Message{}, fmt.Errorf("getting message %d: decoding the answer: %w", seq, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Message{}, errNoMessage
	case answer.Error != nil:
		return Message{}, fmt.Errorf("getting message %d: %w", seq, answer.Error)
	//guard:false "no answer crashes the service" TestOddReplies
	case answer.Message == nil:
		return Message{}, fmt.Errorf("getting message %d: empty answer", seq)
	}
	return answer.Message.message(seq), nil
}

// message returns the message as the library would deliver it: without headers if
// they are broken.
func (m *stored) message(seq uint64) Message {
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data}
	if header, err := nats.DecodeHeadersMsg(m.Header); err == nil {
		msg.Header = header
	}
	return Message{Msg: msg, Sequence: seq, Receipt: roster.TimeOf(m.Time)}
}

func (s *jetStream) reconnect() error { return s.nc.ForceReconnect() }
