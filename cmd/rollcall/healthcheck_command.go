package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
)

type healthcheckCmd struct {
	Ready        bool   `xor:"what" help:"Check that it is ready (has caught up, so reports and answers are complete), not only alive."`
	Page         bool   `xor:"what" help:"Check the page, at the address in ROLLCALL_PAGE_ADDR."`
	User         string `and:"password" placeholder:"USER" help:"User of the web configuration file."`
	PasswordFile string `and:"password" placeholder:"FILE" help:"File with that user's password."`
	Cert         string `and:"certificate" placeholder:"FILE" help:"Client certificate, in PEM, if the web configuration file requires one."`
	Key          string `and:"certificate" placeholder:"FILE" help:"That certificate's key."`
}

// Help is the text of "rollcall healthcheck --help" before the flags.
func (healthcheckCmd) Help() string {
	return `Requests /livez, or /readyz, from the service on this machine, at the address in ROLLCALL_HTTP_ADDR, and prints one line. The exit code is 0 if the check passes, and 1 if it fails or takes longer than 3 seconds. With TLS, it accepts only the certificate that ROLLCALL_HTTP_CONFIG_FILE names, or for the page ROLLCALL_PAGE_CONFIG_FILE, whatever the name and dates in it. A service that requires a password or a certificate, and was given none, counts as alive.

Examples:

    rollcall healthcheck
    rollcall healthcheck --ready
    rollcall healthcheck --page`
}

// healthTimeout is the time-out of the check.
const healthTimeout = 3 * time.Second

// Run requests /livez or /readyz from the service.
func (c *healthcheckCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadHealth(httpd.CheckWebConfig)
	if err != nil {
		return err
	}
	at := checked{"ROLLCALL_HTTP_ADDR", string(cfg.HTTPAddr), "ROLLCALL_HTTP_CONFIG_FILE", string(cfg.HTTPConfigFile)}
	if c.Page {
		at = checked{"ROLLCALL_PAGE_ADDR", string(cfg.PageAddr), "ROLLCALL_PAGE_CONFIG_FILE", string(cfg.PageConfigFile)}
	}
	url, transport, err := c.target(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	answer, err := c.ask(ctx, transport, url)
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("no answer within %v", healthTimeout)
	}
	if err != nil {
		return fmt.Errorf("healthcheck: %s: %w", url, err)
	}
	_, err = fmt.Fprintf(std.out, "%s: %s\n", url, answer)
	return err
}

// checked is what is checked: an address, and the path of a web configuration file, each with
// its variable.
type checked struct{ addrVariable, addr, fileVariable, file string }

// target returns the URL to request, and the transport.
func (c *healthcheckCmd) target(at checked) (url string, transport *http.Transport, err error) {
	addr, err := loopback(at.addr)
	if err != nil {
		return "", nil, config.NewProblem(at.addrVariable, err.Error(), "set a fixed port, the same for the service and this command")
	}
	scheme, path := "http", "/livez"
	if c.Ready {
		path = "/readyz"
	}
	// No proxy: the service is on this machine.
	transport = &http.Transport{DisableKeepAlives: true}
	if at.file != "" {
		served, err := httpd.ReadWebConfig(at.file)
		if err != nil {
			return "", nil, config.NewProblem(at.fileVariable, err.Error(), "set it to the service's file")
		}
		if served.TLS {
			scheme = "https"
			if transport.TLSClientConfig, err = c.onlyCertificate(served, at.fileVariable); err != nil {
				return "", nil, err
			}
		}
	}
	return scheme + "://" + addr + path, transport, nil
}

// loopback returns the address at which this machine reaches a listener.
func loopback(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return "", err
	case port == "0":
		return "", errors.New("port 0 means a different port at each start")
	case host == "" || host == "0.0.0.0":
		host = "127.0.0.1"
	case host == "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// onlyCertificate accepts only the certificate that the service is configured with. Its
// name is the one that other machines use, so it cannot be verified for a loopback address.
func (c *healthcheckCmd) onlyCertificate(served httpd.WebConfig, variable string) (*tls.Config, error) {
	config := &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection replaces it
		VerifyConnection: func(state tls.ConnectionState) error {
			//guard:false "the health of another service does not count" TestHealthcheckWithTLS
			if !state.PeerCertificates[0].Equal(served.Certificate) {
				return fmt.Errorf("the server's certificate is not the one that %s names", variable)
			}
			return nil
		},
	}
	if c.Cert != "" {
		own, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("healthcheck: --cert and --key: %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// ask returns the answer of the service, on one line.
func (c *healthcheckCmd) ask(ctx context.Context, transport *http.Transport, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if c.User != "" {
		password, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		r.SetBasicAuth(c.User, strings.TrimRight(string(password), "\r\n"))
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		if wantsCertificate(err) && !c.Ready && c.Cert == "" {
			return "alive, but requires a client certificate", nil
		}
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 16<<10))
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	said := printable(strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "; "))
	switch {
	case answer.StatusCode == http.StatusOK:
		return said, nil
	case answer.StatusCode == http.StatusUnauthorized && !c.Ready && c.User == "":
		return "alive, but requires a user and a password", nil
	}
	return "", fmt.Errorf("%s: %s", answer.Status, said)
}

// wantsCertificate reports whether the server aborted the handshake because a client
// certificate is required (RFC 8446, section 6.2). The library has no type for that.
func wantsCertificate(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" && remote.Err.Error() == "tls: certificate required"
}
