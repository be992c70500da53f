package main

import (
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"rollcall/internal/config"
)

// connFlags are the flags of all commands that connect to a NATS server.
type connFlags struct {
	Server  serverFlag  `short:"s" group:"nats" placeholder:"URL" help:"The NATS server, such as nats://10.0.0.5:4222; several are separated by commas."`
	Creds   credsFlag   `group:"nats" placeholder:"FILE" help:"Log in with this credentials file."`
	Context contextFlag `group:"nats" placeholder:"NAME" help:"Use the server, the login and the inbox prefix of this context of the nats tool. Default: the one that NATS_CONTEXT names, if it is set."`
}

// given returns what the flags say.
func (c *connFlags) given() *config.Given {
	return &config.Given{Server: string(c.Server), Creds: string(c.Creds), Context: string(c.Context)}
}

type serverFlag string

// Decode reads and checks the URL.
func (f *serverFlag) Decode(ctx *kong.DecodeContext) error {
	value, err := given(ctx, "a URL such as nats://10.0.0.5:4222")
	if err == nil {
		value, err = config.ServerURL(value)
	}
	*f = serverFlag(value)
	return err
}

type credsFlag string

// Decode reads the path of a file that can be read.
func (f *credsFlag) Decode(ctx *kong.DecodeContext) error {
	value, err := given(ctx, "a credentials file")
	*f = credsFlag(value)
	if err != nil {
		return err
	}
	if why := config.Unreadable(value); why != "" {
		return fmt.Errorf("%q %s: give the path of a readable file", value, why)
	}
	return nil
}

type contextFlag string

// Decode reads the name of a context.
func (f *contextFlag) Decode(ctx *kong.DecodeContext) error {
	value, err := given(ctx, "the name of a context")
	*f = contextFlag(value)
	return err
}

// given reads the value of a flag.
func given(ctx *kong.DecodeContext, what string) (string, error) {
	token, err := ctx.Scan.PopValue("flag")
	if err != nil {
		return "", fmt.Errorf("give %s", what)
	}
	//guard:false "an empty flag does not lead to another server" TestConnFlags
	if token.String() == "" {
		return "", errors.New("is empty: leave the flag out, or give " + what)
	}
	return token.String(), nil
}
