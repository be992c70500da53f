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
	Ready        bool   `help:"Ask whether it has caught up and its reports and answers are whole, not only whether it lives."`
	User         string `and:"password" placeholder:"USER" help:"User of the web configuration file."`
	PasswordFile string `and:"password" placeholder:"FILE" help:"File with that user's password."`
	Cert         string `and:"certificate" placeholder:"FILE" help:"Client certificate, in PEM, where the web configuration file wants one."`
	Key          string `and:"certificate" placeholder:"FILE" help:"That certificate's key."`
}

// Help is what "rollcall healthcheck --help" says beside the flags.
func (healthcheckCmd) Help() string {
	return `Asks the service on this machine for /livez, or /readyz, at the address that ROLLCALL_HTTP_ADDR has, and prints one line. The exit code is 0 if all is well, and 1 if not or after 3 seconds. With TLS it takes only the certificate that ROLLCALL_WEB_CONFIG_FILE names, whatever the name and dates in it. A service that wants a password or a certificate, and was given none, is alive.`
}

// healthLimit is the time-out of the check.
const healthLimit = 3 * time.Second

// Run requests /livez or /readyz from the service.
func (c *healthcheckCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadHealth()
	if err != nil {
		return err
	}
	url, transport, err := c.target(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	answer, err := c.ask(ctx, transport, url)
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("no answer within %v", healthLimit)
	}
	if err != nil {
		return fmt.Errorf("healthcheck: %s: %w", url, err)
	}
	_, err = fmt.Fprintf(std.out, "%s: %s\n", url, answer)
	return err
}

// target returns the URL to request, and the transport.
func (c *healthcheckCmd) target(cfg *config.Web) (url string, transport *http.Transport, err error) {
	addr, err := loopback(string(cfg.HTTPAddr))
	if err != nil {
		return "", nil, config.NewProblem("ROLLCALL_HTTP_ADDR", err.Error(), "give the service a fixed port, and this command the same address")
	}
	scheme, path := "http", "/livez"
	if c.Ready {
		path = "/readyz"
	}
	// No proxy: the service is on this machine.
	transport = &http.Transport{DisableKeepAlives: true}
	if cfg.WebConfigFile != "" {
		served, err := httpd.ReadWebConfig(string(cfg.WebConfigFile))
		if err != nil {
			return "", nil, config.NewProblem("ROLLCALL_WEB_CONFIG_FILE", err.Error(), "give the file that the service has")
		}
		if served.TLS {
			scheme = "https"
			if transport.TLSClientConfig, err = c.onlyCertificate(served); err != nil {
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
		return "", errors.New("port 0 is another one at each start")
	case host == "" || host == "0.0.0.0":
		host = "127.0.0.1"
	case host == "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// onlyCertificate accepts only the certificate that the service is configured with. Its
// name is the one that other machines use, so it cannot be verified against loopback.
func (c *healthcheckCmd) onlyCertificate(served httpd.WebConfig) (*tls.Config, error) {
	config := &tls.Config{
		InsecureSkipVerify: true, // in favour of what comes here
		VerifyConnection: func(state tls.ConnectionState) error {
			//guard:false "another service's health is not ours" TestHealthcheckWithTLS
			if !state.PeerCertificates[0].Equal(served.Certificate) {
				return errors.New("shows another certificate than the one that ROLLCALL_WEB_CONFIG_FILE names")
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
			return "it lives, and wants a client certificate", nil
		}
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 16<<10))
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	said := harmless(strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "; "))
	switch {
	case answer.StatusCode == http.StatusOK:
		return said, nil
	case answer.StatusCode == http.StatusUnauthorized && !c.Ready && c.User == "":
		return "it lives, and wants a user and a password", nil
	}
	return "", fmt.Errorf("%s: %s", answer.Status, said)
}

// wantsCertificate reports whether the server aborted the handshake because a client
// certificate is required (RFC 8446, section 6.2). The library has no type for that.
func wantsCertificate(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" && remote.Err.Error() == "tls: certificate required"
}
