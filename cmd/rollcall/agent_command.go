package main

import "rollcall/internal/agent/command"

// agentCmd is the agent, which is also a program of its own: rollcall-agent.
type agentCmd struct {
	command.Agent
}
