package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rollcall/internal/api"
)

// nearNames is how many names are listed that are near to one that is unknown.
const nearNames = 10

// named asks about the machine or user of a name. An exact name always wins: only if the
// service does not know it, and a person looks at a terminal, the one name that contains it
// is asked about. about asks the question about one name, and tells whether the name is
// another than the one that was given.
func (a *asker) named(ctx context.Context, kind, name string, o *outputFlags, about func(name string, found bool) error) error {
	err := about(name, false)
	if !isUnknown(err) {
		return err
	}
	if refused, ok := errors.AsType[*unknownError](err); ok && refused.kind != kind {
		return err // another name, which was looked for
	}
	near, err := a.resolve(ctx, kind, name, o, err)
	if err != nil {
		return &unknownError{kind, err}
	}
	return about(near, true)
}

// unknownError says that a name is unknown, after names that contain it were looked for.
type unknownError struct {
	kind string
	error
}

func (e *unknownError) Unwrap() error { return e.error }

// resolve returns the one name that contains a text, for a person who looks at a terminal,
// after the service has refused the text as unknown. A program is never told of another
// machine or user than it asked about. Otherwise the error is the refusal, with the names
// that contain the text.
func (a *asker) resolve(ctx context.Context, kind, text string, o *outputFlags, refused error) (string, error) {
	request := api.FindRequest{Text: text, Kind: kind, Limit: new(uint32(nearNames))}
	data, err := a.one(ctx, "find", request)
	if err != nil || text == "" {
		return "", refused // an older service, or no permission to ask
	}
	found, err := api.Decode[api.FindAnswer](data)
	if err != nil {
		return "", fmt.Errorf("%s: reading the answer: %w", a.command, err)
	}
	names, more := found.Machines, found.MoreMachines
	if kind == api.Users {
		names, more = found.Users, found.MoreUsers
	}
	//guard:drop o.format "a program is never told of another machine" TestFinding
	if len(names) == 1 && !more && o.format(a.std) == "text" {
		return names[0], nil
	}
	if len(names) == 0 {
		return "", refused
	}
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = shown(name)
	}
	if more {
		list = append(list, "and more")
	}
	return "", fmt.Errorf("%w; names that contain it:\n  %s", refused, strings.Join(list, "\n  "))
}

// shown returns a name for a line of text; see [api.Name].
func shown(name string) string { return api.Name(printable(name)) }

// machineKnown returns the service's refusal if it does not know a machine.
func (a *asker) machineKnown(ctx context.Context, name string) error {
	_, err := a.one(ctx, "machine", api.MachineRequest{Machine: name})
	if err != nil {
		return unanswered(a.command, err, a.cfg)
	}
	return nil
}
