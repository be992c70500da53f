package natsconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/internal/test/kit"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	key := newKey(t)
	der := sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, key, key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, write(t, "ca.pem", encode("CERTIFICATE", der))}
}

// issue returns the files of a certificate and its key.
func (a authority) issue(t *testing.T) (cert, key string) {
	t.Helper()
	private := newKey(t)
	der := sign(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, private, a.key)
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", encode("CERTIFICATE", der)), write(t, "key.pem", encode("EC PRIVATE KEY", encoded))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, c, by *x509.Certificate, key, with *ecdsa.PrivateKey) []byte {
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "rollcall test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), with)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// withTLS makes a server use TLS and request a client certificate.
func withTLS(t *testing.T, a authority) func(*server.Options) {
	certFile, keyFile := a.issue(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	return func(o *server.Options) {
		o.TLSVerify = true
		o.TLSConfig = &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{cert},
			ClientCAs:    clients,
			ClientAuth:   tls.RequireAndVerifyClientCert,
		}
	}
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	s := kit.StartServer(t, withTLS(t, ours))
	cert, key := ours.issue(t)
	foreignCert, foreignKey := theirs.issue(t)

	connected(t, Options{URL: s.URL, CA: ours.file, Cert: cert, Key: key})

	for name, c := range map[string]struct {
		options Options
		says    []string
		retried bool // the server refuses the connection
	}{
		"wrong CA":       {Options{URL: s.URL, CA: theirs.file, Cert: cert, Key: key}, []string{"NATS_CA", "unknown authority"}, false},
		"no CA":          {Options{URL: s.URL, Cert: cert, Key: key}, []string{"NATS_CA", "unknown authority"}, false},
		"no certificate": {Options{URL: s.URL, CA: ours.file}, []string{"NATS_CERT", "certificate required"}, true},
		"foreign":        {Options{URL: s.URL, CA: ours.file, Cert: foreignCert, Key: foreignKey}, []string{"NATS_CERT"}, true},
		"key of another": {Options{URL: s.URL, CA: ours.file, Cert: cert, Key: foreignKey}, []string{"NATS_CERT and NATS_KEY", "does not match"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.retried {
				wantRetries(t, c.options, c.says...)
				return
			}
			_, err := Await(t.Context(), c.options, "test", kit.Logger(t), nil)
			wantError(t, err, true, c.says...)
		})
	}
}

func TestServerWithoutTLS(t *testing.T) {
	s := kit.StartServer(t)
	_, err := Await(t.Context(), Options{URL: s.URL, CA: newAuthority(t).file}, "test", kit.Logger(t), nil)
	wantError(t, err, true, s.URL, "does not speak TLS")
}

// TestExpiredCertificate: a certificate outside its validity period is retried: it
// may be renewed, or the clock of this machine corrected, while we wait.
func TestExpiredCertificate(t *testing.T) {
	expired := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}
	foreign := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	if err := (Options{}).explain(expired); !isRetryable(err) {
		t.Errorf("%v is not retried", err)
	}
	if err := (Options{}).explain(foreign); isRetryable(err) {
		t.Errorf("%v is retried", err)
	}
}

// TestCertificateRemedy: what is to be done depends on what is wrong with the certificate.
func TestCertificateRemedy(t *testing.T) {
	later := &x509.Certificate{NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)}
	for want, reason := range map[string]error{
		"NATS_CA":                    x509.UnknownAuthorityError{},
		"renew the server's":         x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired},
		"correct the clock of":       x509.CertificateInvalidError{Cert: later, Reason: x509.Expired},
		"the certificate's names in": x509.HostnameError{Certificate: &x509.Certificate{}, Host: "other"},
	} {
		err := (Options{}).explain(&tls.CertificateVerificationError{Err: reason})
		wantError(t, err, true, want)
		if want != "NATS_CA" && strings.Contains(err.Error(), "authority") {
			t.Errorf("%v: the authority is not what is wrong", err)
		}
	}
}

// TestUntrustedLater: a certificate that is no longer trusted is logged, which the
// library does not do; once it is trusted again, the connection reconnects without
// a restart.
func TestUntrustedLater(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	s := kit.StartServer(t, withTLS(t, ours))
	cert, key := ours.issue(t)
	log, r := logger()
	nc, err := Connect(t.Context(), Options{URL: s.URL, CA: ours.file, Cert: cert, Key: key}, "test", log,
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	trusted := encode("CERTIFICATE", ours.cert.Raw)
	overwrite(t, ours.file, encode("CERTIFICATE", other.cert.Raw))
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return r.Has("nats server certificate is not accepted") }, "the log reports the certificate")
	overwrite(t, ours.file, trusted)
	kit.Eventually(t, nc.IsConnected, "the connection is back")
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
