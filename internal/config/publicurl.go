package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// PublicURL checks the URL of one NATS server, or of several separated by commas, that others
// are given: it has a host, perhaps a port, and nothing else, above all no password.
func PublicURL(value string) (string, error) {
	//guard:false "no password is given to the machines" TestPublicURL
	if strings.Contains(value, "@") {
		return "", errors.New("it has a user or a password, which everybody would get: leave them out")
	}
	var checked serverURL
	if err := checked.Set(value); err != nil {
		return "", err
	}
	for server := range strings.SplitSeq(string(checked), ",") {
		if err := checkPublic(server); err != nil {
			return "", fmt.Errorf("%q: %w: use one such as tls://nats.example.com:4222", server, err)
		}
	}
	return string(checked), nil
}

func checkPublic(server string) error {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("its port is %q, not a number from 1 to 65535", port)
		}
	}
	_, err = netip.ParseAddr(u.Hostname())
	switch rest := u.RequestURI() + u.Fragment; {
	case rest != "/" || strings.HasSuffix(server, "/") || strings.HasSuffix(server, "#"):
		return errors.New("it has more than a host and a port")
	case err != nil && strings.Trim(strings.ToLower(u.Hostname()), "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "":
		return fmt.Errorf("%q is not the name of a host", u.Hostname())
	}
	return nil
}
