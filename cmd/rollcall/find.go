package main

import (
	"context"
	"fmt"
	"strings"

	"rollcall/internal/api"
	"rollcall/internal/client"
)

// isGlob reports whether a name may be a pattern; see [api.Matches].
func isGlob(name string) bool { return strings.ContainsAny(name, "*?[") }

// nearNames is how many names are listed that are near to one that is unknown.
const nearNames = 10

// resolve returns the one name that contains a text, for a person who looks at a terminal,
// after the service has refused the text as unknown. A program is never given another
// machine or user than it asked about. Otherwise the error is the refusal, with the names
// that contain the text.
func (a *asker) resolve(ctx context.Context, kind, text string, o *outputFlags, refused error) (string, error) {
	request := api.FindRequest{Text: text, Kind: kind, Limit: new(uint32(nearNames))}
	data, err := client.One(ctx, a.conn, a.cfg.Subjects().Query("find"), request)
	if err != nil {
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
	list := quoted(names)
	if more {
		list = append(list, "and more")
	}
	return "", fmt.Errorf("%w; names that contain it:\n  %s", refused, strings.Join(list, "\n  "))
}

// quoted returns names for lines of an error.
func quoted(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = api.Name(printable(name))
	}
	return all
}

// knowsMachine reports whether the service knows a machine.
func (a *asker) knowsMachine(ctx context.Context, name string) (bool, error) {
	_, err := client.One(ctx, a.conn, a.cfg.Subjects().Query("machine"), api.MachineRequest{Machine: name})
	switch {
	case isUnknown(err):
		return false, nil
	case err != nil:
		return false, unanswered(a.command, err, a.cfg)
	}
	return true, nil
}
