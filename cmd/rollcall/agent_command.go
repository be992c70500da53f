package main

import (
	"context"

	"rollcall/internal/agent/command"
)

// agentCmd is the agent, which is also a program of its own: rollcall-agent.
type agentCmd struct {
	Run    agentRunCmd    `cmd:"" default:"withargs" help:"Tell rollcall who is logged in on this machine, until a signal ends it."`
	Status agentStatusCmd `cmd:"" help:"Print the state of the agent on this machine."`
	Tell   agentTellCmd   `cmd:"" help:"Tell the agent of a login or logout that logind does not see."`
}

type agentRunCmd struct {
	Once bool `help:"Print the events that it would begin with, in JSON, and end."`
}

// Help is the text before the flags.
func (agentRunCmd) Help() string {
	return command.RunHelp + "\n\nExamples:\n\n    rollcall agent\n    rollcall agent --once"
}

// Run runs the agent.
func (c *agentRunCmd) Run(ctx context.Context, std streams) error {
	return command.Run(ctx, std.out, std.err, c.Once)
}

type agentStatusCmd struct{}

// Help is the text before the flags.
func (agentStatusCmd) Help() string { return "Examples:\n\n    rollcall agent status" }

// Run asks the agent on this machine for its state.
func (agentStatusCmd) Run(ctx context.Context, std streams) error {
	return command.Status(ctx, std.out)
}

type agentTellCmd struct {
	PAM bool `name:"pam" help:"Make the event of the variables that pam_exec sets, instead of reading it."`
}

// Help is the text before the flags.
func (agentTellCmd) Help() string { return command.TellHelp }

// Run tells the agent of events.
func (c *agentTellCmd) Run(ctx context.Context, std streams) error {
	return command.Tell(ctx, std.in, c.PAM)
}
