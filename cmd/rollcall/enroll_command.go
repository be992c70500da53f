package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/enroll"
	"rollcall/internal/inventory"
	"rollcall/internal/moment"
)

type enrollCmd struct {
	Names    []string    `arg:"" optional:"" name:"name" help:"The machines. - reads them from standard input, one a line; lines that begin with # are comments."`
	Init     string      `group:"init" placeholder:"DIR" help:"Make the folder DIR, with the keys of an operator and its accounts, and credentials of the service, the admin, a reader and the page."`
	URL      string      `group:"init" name:"url" help:"Where clients find the NATS server; several are separated by commas."`
	CA       string      `group:"init" name:"ca" type:"existingfile" placeholder:"FILE" help:"The certificates with which clients check the server, in PEM."`
	Dir      string      `short:"d" help:"The folder that --init made; without it, the current one."`
	Role     enroll.Role `enum:",machine,device,reader,page,service,admin,sys" default:"" help:"What the names are: machine (the default), device, reader, page, service, admin, or sys, who manages the servers of a cluster."`
	MQTT     bool        `name:"mqtt" help:"The names are devices, which publish by MQTT: --role device."`
	Expire   lifetime    `help:"How long the credentials are valid, such as 90d or 12h; without it, until they are revoked."`
	Since    string      `enum:",boot,now,all" default:"" help:"From where the agent reads the journal at its first start: boot, now or all."`
	Revoke   bool        `help:"End the validity of all credentials of these names, once the server has read accounts.conf."`
	List     bool        `help:"List who is enrolled."`
	Accounts bool        `help:"Write accounts.conf anew, as a new version of rollcall may need."`
}

// Help is the text of "rollcall enroll --help" before the flags.
func (enrollCmd) Help() string {
	return `Makes credentials for machines and readers without a server: the operator of the folder DIR signs accounts, which the server knows by accounts.conf, and a key of an account signs each machine. So the server need not be told of a new one.

    rollcall enroll --init enrolled --url tls://nats.example.com --ca ca.pem
    cd enrolled
    rollcall enroll web1 db1.example.com
    scp -r machines/web1/. root@web1:/etc/rollcall-agent/

Enrolling a machine again renews its credentials, if they are still in the folder. --init on a folder that was made with the same settings makes what is missing, and changes nothing. Keep the folder where neither the server nor a machine can read it: whoever has its keys can be everybody.`
}

// lifetime is how long credentials are valid.
type lifetime time.Duration

// maxDays is the longest lifetime, in days.
const maxDays = 36500

// UnmarshalText parses a lifetime such as 90d or 12h, from a second to a hundred years.
func (l *lifetime) UnmarshalText(text []byte) error {
	d, err := moment.ParseSpan(string(text))
	switch {
	case errors.Is(err, moment.ErrTooLong) || d > maxDays*24*time.Hour:
		return fmt.Errorf("%q is too long: use at most %dd, or leave --expire out: then they are valid until they are revoked", text, maxDays)
	case err != nil:
		return fmt.Errorf("%q is no lifetime: use a number of days or hours, such as 90d or 12h", text)
	case d < time.Second:
		return fmt.Errorf("%q is too short: use at least 1s", text)
	}
	*l = lifetime(d)
	return nil
}

// mode returns what is to be done: --init, --revoke, --list, --accounts, or an enrolment.
func (c *enrollCmd) mode() (string, error) {
	var modes []string
	for _, mode := range []struct {
		name  string
		given bool
	}{{"--init", c.Init != ""}, {"--revoke", c.Revoke}, {"--list", c.List}, {"--accounts", c.Accounts}} {
		if mode.given {
			modes = append(modes, mode.name)
		}
	}
	switch len(modes) {
	case 0:
		return "an enrolment", nil
	case 1:
		return modes[0], nil
	}
	return "", errors.New("give one of --init, --revoke, --list and --accounts")
}

// Validate refuses flags that cannot be combined.
func (c *enrollCmd) Validate() error {
	mode, err := c.mode()
	if err != nil {
		return err
	}
	const ofNames = "an enrolment --revoke"
	for _, flag := range []struct {
		name  string
		given bool
		in    string
	}{
		{"--url", c.URL != "", "--init"},
		{"--ca", c.CA != "", "--init"},
		{"--dir", c.Dir != "", ofNames + " --list --accounts"},
		{"--role", c.Role != "", ofNames},
		{"--mqtt", c.MQTT, ofNames},
		{"--expire", c.Expire != 0, "an enrolment --init"},
		{"--since", c.Since != "", "an enrolment"},
		{"a name", len(c.Names) > 0, ofNames},
	} {
		if flag.given && !strings.Contains(flag.in, mode) {
			return fmt.Errorf("%s does not go with %s", flag.name, mode)
		}
	}
	switch {
	case c.MQTT && c.Role != "":
		return errors.New("--mqtt is --role device: give one of them")
	case mode == "--init" && c.URL == "":
		return errors.New("--init needs --url")
	case strings.Contains(ofNames, mode) && len(c.Names) == 0:
		return errors.New("no name given")
	}
	c.Dir, c.Role = cmp.Or(c.Dir, "."), cmp.Or(c.Role, enroll.Machine)
	if c.MQTT {
		c.Role = enroll.Device
	}
	if c.Since != "" && c.Role != enroll.Machine {
		return errors.New("--since is for machines")
	}
	return nil
}

// Run does what the flags say.
func (c *enrollCmd) Run(std streams) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("enroll: %w", err)
		}
	}()
	if c.Init != "" {
		return c.init(std)
	}
	f, err := enroll.Open(c.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	switch {
	case c.List:
		return listEnrolled(f, std.out)
	case c.Accounts:
		return rewritten(f, std.err)
	case c.Revoke:
		return c.revoke(f, std)
	}
	return c.each(std, func(name string) error {
		made, err := f.Enroll(c.Role, name, enroll.Options{Expire: time.Duration(c.Expire), Since: c.Since})
		if err == nil {
			err = printEnrolled(std, name, made)
		}
		return err
	})
}

// printEnrolled says where the files of a user are.
func printEnrolled(std streams, name string, made enroll.Enrolled) (err error) {
	if made.To != "" {
		_, err = fmt.Fprintf(std.out, "%s: %s, for %s\n", name, made.Folder, made.To)
	} else {
		_, err = fmt.Fprintf(std.out, "%s: %s\n", name, made.Folder)
	}
	if made.Others > 0 {
		fmt.Fprintf(std.err, "rollcall: enroll: %s has %d earlier credentials that are valid still: rollcall enroll --revoke ends all, then enroll it again\n", name, made.Others)
	}
	return err
}

// init makes the folder, and enrolls those whom every installation has.
func (c *enrollCmd) init(std streams) error {
	url, err := config.PublicURL(c.URL)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	names, err := config.ReadStreams(&config.Given{Server: url})
	if err != nil {
		return err
	}
	var ca []byte
	if c.CA != "" {
		if ca, err = os.ReadFile(c.CA); err != nil {
			return err
		}
	}
	f, err := enroll.Init(c.Init, enroll.Settings{
		URL: url, Subject: names.Subjects().Base(),
		Streams: enroll.Streams{Events: string(names.Stream), Reports: string(names.ReportsStream), DeadLetters: string(names.DeadlettersStream), Domain: string(names.Domain())},
	}, ca)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, role := range []enroll.Role{enroll.Service, enroll.Admin, enroll.Reader, enroll.Page} {
		if f.Has(role, string(role)) {
			fmt.Fprintf(std.err, "rollcall: enroll: the %s was enrolled already\n", role)
			continue
		}
		made, err := f.Enroll(role, string(role), enroll.Options{Expire: time.Duration(c.Expire)})
		if err == nil {
			err = printEnrolled(std, string(role), made)
		}
		if err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(std.out, "accounts.conf: %s, for the NATS server\n", f.AccountsFile())
	return err
}

func (c *enrollCmd) revoke(f *enroll.Folder, std streams) error {
	var failed []error
	err := c.each(std, func(name string) error {
		n, err := f.Revoke(c.Role, name)
		switch {
		case err == nil && n == 0:
			_, err = fmt.Fprintf(std.out, "%s: revoked already\n", name)
		case err == nil:
			_, err = fmt.Fprintf(std.out, "%s: %d credentials revoked\n", name, n)
		}
		failed = append(failed, err)
		return nil // the others are to be revoked, too
	})
	return errors.Join(append(failed, err, rewritten(f, std.err))...)
}

// rewritten writes accounts.conf, and says what to do with it.
func rewritten(f *enroll.Folder, to io.Writer) error {
	if err := f.WriteAccounts(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "rollcall: enroll: copy %s to the NATS server, and reload that: nats-server --signal reload\n", f.AccountsFile())
	return err
}

// each calls do for each name.
func (c *enrollCmd) each(std streams, do func(name string) error) error {
	for _, name := range c.Names {
		if name != "-" {
			if err := do(name); err != nil {
				return err
			}
			continue
		}
		if err := inventory.Each(std.in, do); err != nil {
			return fmt.Errorf("standard input, %w", err)
		}
	}
	return nil
}

// listEnrolled prints who is enrolled.
func listEnrolled(f *enroll.Folder, to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tNAME\tISSUED\tVALID")
	for _, e := range f.Entries() {
		valid := "until revoked"
		switch {
		case e.Revoked != nil:
			valid = "revoked " + e.Revoked.Format(time.DateTime)
		case e.Expires != nil && e.Expires.Before(time.Now()):
			valid = "expired " + e.Expires.Format(time.DateTime)
		case e.Expires != nil:
			valid = "until " + e.Expires.Format(time.DateTime)
		}
		fmt.Fprintln(w, strings.Join([]string{string(e.Role), e.Name, e.Issued.Format(time.DateTime), valid}, "\t"))
	}
	return w.Flush()
}
