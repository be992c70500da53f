package httpd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"
)

// WebConfig is the part of a web configuration file that is needed outside the
// server. The file is that of the Prometheus exporters:
// https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
type WebConfig struct {
	// TLS says that the server speaks HTTPS only.
	TLS bool
	// Certificate is the server's certificate; nil without TLS.
	Certificate *x509.Certificate
	// Users says that a request needs a user and a password.
	Users bool
	// ClientCertificates says that a client needs a certificate of an authority that the
	// file names.
	ClientCertificates bool
}

// CheckWebConfig returns what is wrong with a web configuration file.
func CheckWebConfig(path string) error {
	_, err := ReadWebConfig(path)
	return err
}

// ReadWebConfig reads a web configuration file, and the files that it names. Its
// errors quote no value of the file.
func ReadWebConfig(path string) (WebConfig, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return WebConfig{}, cause(err)
	}
	var c web.Config
	if err := yaml.UnmarshalStrict(content, &c); err != nil {
		return WebConfig{}, unquoted(err)
	}
	for user, hash := range c.Users {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return WebConfig{}, fmt.Errorf("basic_auth_users: the value of %q is not a bcrypt hash of a password", user)
		}
	}
	// The toolkit's own validation, for everything not checked here.
	if err := web.Validate(path); err != nil {
		return WebConfig{}, unquoted(err)
	}
	found := WebConfig{TLS: c.TLSConfig.IsEnabled(), Users: len(c.Users) > 0}
	if !found.TLS {
		return found, nil
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	if err := checkClientCAs(&c.TLSConfig); err != nil {
		return WebConfig{}, err
	}
	//guard:set `c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert"` `c.TLSConfig.ClientAuth != ""` "a certificate of any authority lets nobody in" TestWebConfigLogins
	found.ClientCertificates = c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert"
	found.Certificate, err = certificate(&c.TLSConfig)
	return found, err
}

// quoted matches the places where the YAML library quotes a value, which may be a
// password: a value of the wrong type, or an anchor, if it begins with a star.
var quoted = regexp.MustCompile("(?s)cannot unmarshal .* into |unknown anchor .* referenced")

// unquoted returns the error on one line, without the values that it quotes.
func unquoted(err error) error {
	lines := []string{strings.ReplaceAll(err.Error(), "\n", " ")}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		lines = types.Errors
	}
	for i, line := range lines {
		lines[i] = quoted.ReplaceAllLiteralString(line, "no value for ")
	}
	return errors.New(strings.Join(lines, "; "))
}

// cause returns the error without the file's path.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// checkClientCAs checks that client certificates can be verified at all: the
// toolkit accepts a file without any certificate, and then nobody can connect.
func checkClientCAs(c *web.TLSConfig) error {
	pem := []byte(c.ClientCAsText)
	if c.ClientCAs != "" {
		var err error
		if pem, err = os.ReadFile(c.ClientCAs); err != nil {
			return fmt.Errorf("client_ca_file (%s): %w", c.ClientCAs, cause(err))
		}
	}
	switch {
	case len(pem) > 0 && x509.NewCertPool().AppendCertsFromPEM(pem):
		return nil
	case c.ClientCAs != "":
		return fmt.Errorf("client_ca_file (%s): no certificate in it", c.ClientCAs)
	case c.ClientCAsText != "":
		return errors.New("client_ca: no certificate in it")
	case c.ClientAuth == "RequireAndVerifyClientCert" || c.ClientAuth == "VerifyClientCertIfGiven":
		return fmt.Errorf("client_auth_type: %s requires a client_ca_file", c.ClientAuth)
	}
	return nil
}

// certificate returns the server's certificate.
func certificate(c *web.TLSConfig) (*x509.Certificate, error) {
	cert, key := []byte(c.TLSCert), []byte(c.TLSKey)
	var err error
	if c.TLSCertPath != "" {
		if cert, err = os.ReadFile(c.TLSCertPath); err != nil {
			return nil, fmt.Errorf("cert_file (%s): %w", c.TLSCertPath, cause(err))
		}
	}
	if c.TLSKeyPath != "" {
		if key, err = os.ReadFile(c.TLSKeyPath); err != nil {
			return nil, fmt.Errorf("key_file (%s): %w", c.TLSKeyPath, cause(err))
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}

// watchWebConfig logs when the file becomes invalid, and when it is valid again.
// The toolkit rereads the file for each connection and request. It reports an error
// to that client only, or logs it each time.
func watchWebConfig(ctx context.Context, path string, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := ReadWebConfig(path)
		switch {
		case err != nil && (last == nil || last.Error() != err.Error()):
			log.Error("web configuration file is invalid: HTTP requests are refused until it is corrected", "path", path, "err", err)
		case err == nil && last != nil:
			log.Info("web configuration file is valid again", "path", path)
		}
		last = err
	}
}
