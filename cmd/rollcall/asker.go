package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// asker asks the service questions for one run of a command, over one connection.
type asker struct {
	command string // as error messages name it
	std     streams
	times   *zoneFlags
	cfg     *config.Client
	// conn is nil until the first question; asking is the context to ask with, see
	// [client.Connect].
	conn   *nats.Conn
	asking context.Context
}

// newAsker returns an asker, which connects when it is first asked. Close it.
func newAsker(std streams, command string, flags *askFlags) (*asker, error) {
	cfg, err := config.ReadClient(flags.given())
	return &asker{command: command, std: std, times: &flags.zoneFlags, cfg: cfg}, err
}

func (a *asker) connect(ctx context.Context) (err error) {
	if a.conn == nil {
		a.asking, a.conn, err = client.Connect(ctx, a.cfg)
	}
	return err
}

func (a *asker) close() {
	if a.conn != nil {
		a.conn.Close()
	}
}

// one asks a question that has one answer.
func (a *asker) one(ctx context.Context, endpoint string, request any) ([]byte, error) {
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	return client.One(a.asking, a.conn, a.cfg.Subjects().Query(endpoint), request)
}

// printPage prints a page of an answer as it is.
func (s streams) printPage(page []byte) error {
	_, err := s.out.Write(append(page, '\n'))
	return err
}

// errEnough ends pages without an error.
var errEnough = errors.New("enough")

// pages asks a question and calls print for each page of the answer, until it returns
// errEnough. Then it prints what the answer lacks.
func (a *asker) pages(ctx context.Context, endpoint string, request any, print func(page []byte) error) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	var missing incompleteness
	for page, err := range client.Pages(a.asking, a.conn, a.cfg.Subjects().Query(endpoint), request) {
		if err != nil {
			return unanswered(a.command, err, a.cfg)
		}
		if err := missing.add(page); err != nil {
			return fmt.Errorf("%s: reading the answer: %w", a.command, err)
		}
		if err := print(page); errors.Is(err, errEnough) {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", a.command, err)
		}
	}
	missing.print(a.std, a.command, a.times)
	return nil
}

// decoded returns a function for pages that decodes them and calls print; with json, it
// prints them as they are.
func decoded[A any, P api.Answer[A]](std streams, o *outputFlags, print func(*A) error) func(page []byte) error {
	return func(page []byte) error {
		if o.Output == "json" {
			return std.printPage(page)
		}
		answer, err := api.Decode[A, P](page)
		if err != nil {
			return err
		}
		return print(&answer)
	}
}

// summary prints a line about a list, unless the answer is printed as it is.
func (a *asker) summary(o *outputFlags, format string, args ...any) {
	if o.Output != "json" {
		a.std.note(format, args...)
	}
}

// isUnknown reports whether the service refuses a question because it does not know the
// machine or the user.
func isUnknown(err error) bool {
	refusal, ok := errors.AsType[*client.Refusal](err)
	return ok && refusal.Code == rollcallv1.CodeNotFound
}
