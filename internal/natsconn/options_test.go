package natsconn

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secret = "s3cret"

// The seed of a user that no server knows.
const seed = "SUAMEIWAOJCYX74W4AIIIBWKK3NTA73NKWOR6JLUK3KCJZNDGET2XVSCJQ"

// Invalid options are rejected before connecting.
func TestWrongOptions(t *testing.T) {
	const url = "nats://127.0.0.1:1"
	bad := write(t, "bad", secret)
	none := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		options Options
		says    []string
	}{
		"cert without key":      {Options{URL: url, Cert: "c"}, []string{"NATS_CERT", "without NATS_KEY"}},
		"key without cert":      {Options{URL: url, Key: "k"}, []string{"NATS_KEY", "without NATS_CERT"}},
		"password without user": {Options{URL: url, Password: secret}, []string{"NATS_PASSWORD", "without NATS_USER"}},
		"user and token":        {Options{URL: url, User: "u", Password: secret, Token: secret}, []string{"NATS_TOKEN and NATS_USER", "keep only one"}},
		"creds and nkey":        {Options{URL: url, Creds: "c", NKey: "n"}, []string{"NATS_CREDS and NATS_NKEY"}},
		"user twice":            {Options{URL: "nats://u:" + secret + "@host", User: "u"}, []string{"NATS_USER and the user in NATS_URL"}},
		"no address":            {Options{}, []string{"NATS_URL"}},
		"empty address":         {Options{URL: url + ","}, []string{"NATS_URL"}},
		"scheme":                {Options{URL: "http://u:" + secret + "@host:80"}, []string{`"http://host:80"`, "nats://HOST:PORT"}},
		"broken address":        {Options{URL: "nats://host:42x2"}, []string{`"nats://host:42x2"`, "nats://HOST:PORT"}},
		"slash in password":     {Options{URL: "nats://u:" + secret + "/" + secret + "@host"}, []string{"NATS_URL", "%XX"}},
		"comma in password":     {Options{URL: "nats://u:" + secret + ",x@host"}, []string{"NATS_URL", "%XX"}},
		"percent in password":   {Options{URL: "nats://u:" + secret + "%zz@host"}, []string{"NATS_URL", "%XX"}},
		"creds missing":         {Options{URL: url, Creds: none}, []string{"NATS_CREDS", none, "no such file"}},
		"creds broken":          {Options{URL: url, Creds: bad}, []string{"NATS_CREDS", "no user JWT"}},
		"creds without seed":    {Options{URL: url, Creds: write(t, "jwt", "a.e30.b")}, []string{"NATS_CREDS", "seed"}},
		"nkey missing":          {Options{URL: url, NKey: none}, []string{"NATS_NKEY", none, "no such file"}},
		"nkey itself":           {Options{URL: url, NKey: "S" + strings.Repeat("A", 57)}, []string{"NATS_NKEY is a seed"}},
		"nkey broken":           {Options{URL: url, NKey: bad}, []string{"NATS_NKEY", bad, "seed"}},
		"ca missing":            {Options{URL: url, CA: none}, []string{"NATS_CA", none, "no such file"}},
		"ca broken":             {Options{URL: url, CA: bad}, []string{"NATS_CA", bad, "certificate"}},
		"cert missing":          {Options{URL: url, Cert: none, Key: bad}, []string{"NATS_CERT and NATS_KEY", none, "no such file"}},
		"cert broken":           {Options{URL: url, Cert: bad, Key: bad}, []string{"NATS_CERT and NATS_KEY", bad}},
		"own key without one":   {Options{URL: url, InboxPrefix: "_INBOX_{{subject()}}"}, []string{"NATS_INBOX_PREFIX", "public key", "NATS_CREDS"}},
		"inbox prefix":          {Options{URL: url, InboxPrefix: "a.>"}, []string{"NATS_INBOX_PREFIX", "a.>"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), c.options, "test", quiet())
			wantError(t, err, true, c.says...)
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error contains the secret: %v", err)
			}
			_, err = Await(t.Context(), c.options, "test", quiet(), nil)
			wantError(t, err, true, c.says...)
		})
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":              "nats://127.0.0.1:4222",
		"nats://u:s3cret@h:1":                "nats://h:1",
		"tls://s3cret@h":                     "tls://h",
		"h:4222":                             "nats://h:4222",
		"u:s3cret@h":                         "nats://h",
		"nats://u:s3cret@a:1, nats://b:2":    "nats://a:1,nats://b:2",
		"nats://u:p@s3cret@h":                "nats://h",
		"nats://u:s3cret/x@h":                "(no address)",
		"nats://u:s3cret,x@h":                "(no address)",
		"ws://h:80/path?token=s3cret#s3cret": "ws://h:80",
		"u:s3cret@://h":                      "(no address)",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOptionsNeverShowSecrets(t *testing.T) {
	o := Options{URL: "nats://u:" + secret + "@h:1", Password: secret, Token: secret}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "options", o)
	fmt.Fprintf(&b, "%v %+v %s", o, o, o)
	if strings.Contains(b.String(), secret) {
		t.Errorf("a secret is shown: %s", b.String())
	}
}

// TestUser: what the log calls the user is the name or the public key, never a secret.
func TestUser(t *testing.T) {
	const body = "eyJuYW1lIjoid2ViMSIsInN1YiI6IlVBQiJ9" // {"name":"web1","sub":"UAB"}
	for want, o := range map[string]Options{
		"u":    {URL: "nats://127.0.0.1:1", User: "u", Password: secret},
		"v":    {URL: "nats://127.0.0.1:1,nats://v:" + secret + "@127.0.0.1:2"},
		"":     {URL: "nats://" + secret + "@127.0.0.1:1"},
		"web1": {URL: "nats://127.0.0.1:1", Creds: creds(t, body)},
		"UCAXBHK2V7C2QTTI2XCJUUHANAP74KNOO7OK4HMGDB4RYBC3KFVHY5IM": {URL: "nats://127.0.0.1:1", NKey: write(t, "nk", seed)},
	} {
		if got := o.user(); got != want {
			t.Errorf("user %q, want %q", got, want)
		}
	}
}

// TestOwnInbox: {{subject()}} in the prefix of answers is the user's public key.
func TestOwnInbox(t *testing.T) {
	const body = "eyJuYW1lIjoid2ViMSIsInN1YiI6IlVBQiJ9" // {"name":"web1","sub":"UAB"}
	for want, o := range map[string]Options{
		"_INBOX_UAB": {URL: "nats://127.0.0.1:1", Creds: creds(t, body), InboxPrefix: "_INBOX_{{subject()}}"},
		"a.UCAXBHK2V7C2QTTI2XCJUUHANAP74KNOO7OK4HMGDB4RYBC3KFVHY5IM": {URL: "nats://127.0.0.1:1", NKey: write(t, "nk", seed), InboxPrefix: "a.{{subject()}}"},
	} {
		if n, err := o.natsOptions("test", nil); err != nil || n.InboxPrefix != want {
			t.Errorf("prefix %q (%v), want %q", n.InboxPrefix, err, want)
		}
	}
}

// TestPathOfCreds: no character in the path of the credentials means anything.
func TestPathOfCreds(t *testing.T) {
	t.Chdir(t.TempDir())
	text, err := os.ReadFile(creds(t, "e30"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"$HOME", "~", "${x}.creds", "%41"} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (Options{URL: "nats://127.0.0.1:1", Creds: path}).natsOptions("test", nil); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
