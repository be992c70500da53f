package command

import "rollcall/internal/config"

// The texts of the help, without the flags.
const (
	RunHelp = `It asks systemd who is logged in, and follows its journal: each login and logout becomes an event, which is kept on disk until the NATS server has stored it. It needs Linux with systemd, and NATS_URL.`

	TellHelp = `Reads events from standard input, in JSON, one a line: logins and logouts with a session, whose machine and date may be left out. Once it ends with exit code 0, they are on disk. Only root may tell.

    {"type":"login","user":"lane","session":"ftp-217","remote":"10.0.0.7"}

With --pam, in the PAM configuration of a service that has no pam_systemd:

    session optional pam_exec.so quiet /usr/bin/rollcall-agent tell --pam`
)

// Variables returns the help for the variables.
func Variables() string {
	return "Environment variables, with defaults in brackets, beside NATS_URL, NATS_CREDS\n" +
		"and the others that begin with NATS_:\n\n" + config.Describe(config.AgentVariables(), 80)
}
