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
	conn    *nats.Conn
}

// newAsker connects. Close the asker, and ask with the context that is returned: see
// [client.Connect].
func newAsker(ctx context.Context, std streams, command string, flags *askFlags) (context.Context, *asker, error) {
	cfg, err := config.ReadClient(flags.given())
	if err != nil {
		return nil, nil, err
	}
	ctx, conn, err := client.Connect(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	return ctx, &asker{command, std, &flags.zoneFlags, cfg, conn}, nil
}

func (a *asker) close() { a.conn.Close() }

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
	var missing incompleteness
	for page, err := range client.Pages(ctx, a.conn, a.cfg.Subjects().Query(endpoint), request) {
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

// isUnknown reports whether the service refuses a question because it does not know the
// machine or the user.
func isUnknown(err error) bool {
	refusal, ok := errors.AsType[*client.Refusal](err)
	return ok && refusal.Code == rollcallv1.CodeNotFound
}
