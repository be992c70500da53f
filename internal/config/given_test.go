package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// saved is a context as the nats tool 0.5.1 writes it.
const saved = `{
  "description": "the test fleet", "url": "", "socks_proxy": "", "token": "", "user": "", "password": "", "creds": "", "nkey": "",
  "cert": "", "key": "", "ca": "", "nsc": "", "jetstream_domain": "", "jetstream_api_prefix": "", "jetstream_event_prefix": "",
  "inbox_prefix": "", "user_jwt": "", "user_seed": "", "color_scheme": "blue", "tls_first": false,
  "windows_cert_store": "", "windows_cert_match_by": "", "windows_cert_match": "", "windows_ca_certs_match": null
}`

// contextWith returns a context with some fields: "url", "nats://a", …
func contextWith(fields ...string) string {
	text := saved
	for i := 0; i < len(fields); i += 2 {
		before := text
		for _, unset := range []string{`""`, "false", "null"} {
			text = strings.Replace(text, `"`+fields[i]+`": `+unset, `"`+fields[i]+`": `+fields[i+1], 1)
		}
		if text == before {
			text = strings.Replace(text, "{", "{"+`"`+fields[i]+`": `+fields[i+1]+", ", 1)
		}
	}
	return text
}

// contexts makes a folder with contexts and variables that lead to it.
func contexts(t *testing.T, variables map[string]string, texts map[string]string) (dir string) {
	t.Helper()
	kit.Environment(t, variables)
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	dir = filepath.Join(config, "nats", "context")
	for name, text := range texts {
		path := filepath.Join(dir, name+".json")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLayers: a flag has precedence over the context, and that over the environment;
// logins do not mix, and a login of the environment is not for the server of a context.
func TestLayers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.creds")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FOLDER", filepath.Dir(file))
	texts := map[string]string{
		"all":    contextWith("url", `"nats://ctx"`, "creds", `"$FOLDER/a.creds"`, "inbox_prefix", `"_INBOX_ctx"`),
		"server": contextWith("url", `"nats://ctx, nats://ctx2"`),
		"login":  contextWith("user", `"lane"`, "password", `"ctx-secret"`),
		"inbox":  contextWith("inbox_prefix", `"_INBOX_ctx"`),
		"hub":    contextWith("jetstream_domain", `"hub"`),
		"file":   contextWith("nkey", `"file://$FOLDER/a.creds"`),
		"tls":    contextWith("ca", `"$FOLDER/a.creds"`, "cert", `"$FOLDER/a.creds"`, "key", `"$FOLDER/a.creds"`),
	}
	environment := map[string]string{
		"NATS_URL": "nats://chris:url-secret@env", "NATS_INBOX_PREFIX": "_INBOX_env",
	}
	user := map[string]string{"NATS_URL": "nats://env", "NATS_USER": "chris", "NATS_PASSWORD": "env-secret"}
	wrong := map[string]string{"ROLLCALL_NATS_CREDS": "/none", "NATS_URL": "mailto:x"}
	for name, c := range map[string]struct {
		env   map[string]string
		given *Given
		want  natsconn.Options
	}{
		"environment":               {environment, &Given{}, natsconn.Options{URL: "nats://chris:url-secret@env", InboxPrefix: "_INBOX_env"}},
		"context":                   {environment, &Given{Context: "all"}, natsconn.Options{URL: "nats://ctx", Creds: file, InboxPrefix: "_INBOX_ctx"}},
		"context by variable":       {with(environment, "NATS_CONTEXT", "all"), &Given{}, natsconn.Options{URL: "nats://ctx", Creds: file, InboxPrefix: "_INBOX_ctx"}},
		"flag over variable":        {with(environment, "NATS_CONTEXT", "none"), &Given{Context: "inbox"}, natsconn.Options{URL: "nats://chris:url-secret@env", InboxPrefix: "_INBOX_ctx"}},
		"not connected":             {with(user, "NATS_CONTEXT", "none"), nil, natsconn.Options{URL: "nats://env", User: "chris", Password: "env-secret"}},
		"server of a context":       {user, &Given{Context: "server"}, natsconn.Options{URL: "nats://ctx,nats://ctx2"}},
		"domain of a context":       {with(environment, "NATS_JS_DOMAIN", "edge"), &Given{Context: "hub"}, natsconn.Options{URL: "nats://chris:url-secret@env", InboxPrefix: "_INBOX_env"}},
		"login of a context":        {environment, &Given{Context: "login"}, natsconn.Options{URL: "nats://env", User: "lane", Password: "ctx-secret", InboxPrefix: "_INBOX_env"}},
		"login over login":          {user, &Given{Context: "login"}, natsconn.Options{URL: "nats://env", User: "lane", Password: "ctx-secret"}},
		"nkey":                      {user, &Given{Context: "file"}, natsconn.Options{URL: "nats://env", NKey: file}},
		"tls":                       {user, &Given{Context: "tls"}, natsconn.Options{URL: "nats://env", User: "chris", Password: "env-secret", CA: file, Cert: file, Key: file}},
		"server by flag":            {user, &Given{Server: "nats://flag"}, natsconn.Options{URL: "nats://flag", User: "chris", Password: "env-secret"}},
		"server by flag, context":   {user, &Given{Server: "nats://flag", Context: "all"}, natsconn.Options{URL: "nats://flag", Creds: file, InboxPrefix: "_INBOX_ctx"}},
		"server with user by flag":  {user, &Given{Server: "nats://ada:x@flag", Context: "all"}, natsconn.Options{URL: "nats://ada:x@flag", InboxPrefix: "_INBOX_ctx"}},
		"creds by flag":             {environment, &Given{Creds: file}, natsconn.Options{URL: "nats://env", Creds: file, InboxPrefix: "_INBOX_env"}},
		"creds by flag, no scheme":  {map[string]string{"NATS_URL": "a:b@env:4222,nats://c@env2"}, &Given{Creds: file}, natsconn.Options{URL: "env:4222,nats://env2", Creds: file}},
		"what is wrong is not used": {wrong, &Given{Server: "nats://flag", Creds: file}, natsconn.Options{URL: "nats://flag", Creds: file}},
	} {
		t.Run(name, func(t *testing.T) {
			contexts(t, c.env, texts)
			cfg, err := ReadClient(c.given)
			got := cfg.NATS()
			got.Names = nil
			if name == "domain of a context" && cfg.Domain() != "hub" {
				t.Errorf("domain %q", cfg.Domain())
			}
			if err != nil || plain(got) != plain(c.want) {
				t.Errorf("%+v, %v; want %+v", plain(got), err, plain(c.want))
			}
		})
	}
}

// plain returns all options joined into one text, so that two sets can be compared.
func plain(o natsconn.Options) string {
	return strings.Join([]string{o.URL, o.Creds, o.User, o.Password, o.Token, o.NKey, o.CA, o.Cert, o.Key, o.InboxPrefix}, " ")
}

func with(variables map[string]string, name, value string) map[string]string {
	set := map[string]string{name: value}
	for name, value := range variables {
		set[name] = value
	}
	return set
}

// TestLayerNames: messages name what set a value.
func TestLayerNames(t *testing.T) {
	contexts(t, nil, map[string]string{"dev": contextWith("url", `"nats://ctx"`, "user", `"lane"`, "cert", `"/dev/null"`)})
	cfg, err := ReadClient(&Given{Context: "dev", Server: "nats://flag"})
	options := cfg.NATS()
	if got := options.Named("NATS_URL") + " " + options.Named("NATS_USER") + " " + options.Named("NATS_CREDS"); got != `--server "user" of the context "dev" NATS_CREDS` {
		t.Error(got)
	}
	if err == nil || !strings.HasPrefix(err.Error(), `"cert" of the context "dev": requires NATS_KEY`) {
		t.Error(err)
	}
}

// TestContextRefused: a context that sets a field which rollcall does not support is refused,
// and the error names the field. Invalid values are refused too. No error shows a password.
func TestContextRefused(t *testing.T) {
	const not = "is not supported by rollcall; use another context, or remove it from "
	for field, c := range map[string]struct{ value, want string }{
		"nsc":                    {`"hunter2"`, not},
		"socks_proxy":            {`"hunter2"`, not},
		"user_jwt":               {`"hunter2"`, not},
		"user_seed":              {`"hunter2"`, not},
		"jetstream_domain":       {`"$JS.hub.API"`, "is a prefix of subjects, not the name of a domain; use the name in jetstream { domain: … } of its servers, such as hub, in "},
		"jetstream_api_prefix":   {`"hunter2"`, not},
		"jetstream_event_prefix": {`"hunter2"`, not},
		"tls_first":              {"true", not},
		"windows_cert_store":     {`"hunter2"`, not},
		"windows_ca_certs_match": {`["hunter2"]`, not},
		"new_field":              {`"hunter2"`, not},
		"URL":                    {`"hunter2"`, not},
		"url":                    {`"nats://lane:hunter2@"`, "is not the URL of a NATS server; use one such as"},
		"creds":                  {`"/none"`, `"/none" cannot be opened (no such file or directory); give the path of a readable file, in `},
		"nkey":                   {`"op://hunter2"`, "is a reference (op://…), which rollcall does not look up; write"},
		"token":                  {`"ENV://hunter2"`, "is a reference (env://…), which rollcall does not look up; write"},
		"password":               {`"data:;base64,hunter2"`, "is a reference (data:…), which rollcall does not look up; write"},
		"ca":                     {`1`, "is not a string; write one, in "},
		"inbox_prefix":           {`"a.>"`, "is not a subject; use tokens without wildcards"},
	} {
		dir := contexts(t, nil, map[string]string{"dev": contextWith(field, c.value)})
		_, err := ReadClient(&Given{Context: "dev"})
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: %v", field, err)
			continue
		}
		got := problems.Lines()[0]
		if !strings.HasPrefix(got, `"`+field+`" of the context "dev": `) || !strings.Contains(got, c.want) || !strings.HasSuffix(got, dir+"/dev.json") {
			t.Errorf("%s: %s; want %s", field, got, c.want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v shows the value", field, err)
		}
	}
}

// TestContextNames: a name leads to a file in the folder of contexts only.
func TestContextNames(t *testing.T) {
	dir := contexts(t, nil, map[string]string{
		"dev": contextWith("url", `"nats://ctx"`), "../outside": contextWith("url", `"nats://outside"`), "sub/inside": contextWith("url", `"nats://inside"`),
		"list": `["hunter2"]`, "null": "null", "text": `{"url": "nats://a", "password": hunter2}`, "twice": `{"url": "nats://a", "url": "nats://hunter2"}`,
	})
	if err := os.MkdirAll(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none": "is not known: there is no " + dir + "/none.json", "../outside": "is not the name of a context", "sub/inside": "is not the name of a context",
		"/etc/passwd": "is not the name of a context", `sub\inside`: "is not the name of a context", "..": "is not the name of a context", "\x1b[2J": "is not the name of a context",
		"a\x00": "is not the name of a context", "folder": "is not a file", "list": "is not a JSON object", "null": "is not a JSON object", "text": "is not a JSON object",
		"twice": "is not a JSON object",
	} {
		cfg, err := ReadClient(&Given{Context: name})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--context: ") || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v, %v; want %s", name, cfg.NATS(), err, want)
		}
	}
	t.Setenv("NATS_CONTEXT", "none")
	if _, err := ReadClient(&Given{}); err == nil || !strings.HasPrefix(err.Error(), `NATS_CONTEXT: "none" is not known`) {
		t.Errorf("by variable: %v", err)
	}
	// Without the variable of the folder, it is .config of the home.
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", filepath.Join(dir, "home"))
	if _, err := ReadClient(&Given{}); err == nil || !strings.Contains(err.Error(), dir+"/home/.config/nats/context/none.json") {
		t.Errorf("at home: %v", err)
	}
}

// FuzzContext: whatever a context contains, it sets variables of the connection only, and
// what is wrong has a name.
func FuzzContext(f *testing.F) {
	f.Add([]byte(saved))
	f.Add([]byte(contextWith("url", `"nats://a"`, "creds", `"~/a"`, "token", `"op://x"`, "tls_first", "true")))
	f.Add([]byte(`{"url": 1, "": "x", "\u001b": {"a": [null]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := contextFields("file", text)
		if err != nil {
			return
		}
		l, problems := contextLayer("dev", "file", fields)
		cfg := new(Client)
		problems = append(problems, cfg.replace(l, nil)...)
		for variable, value := range l.values {
			if to, _ := cfg.setting(variable); value == "" || *to == "" && len(problems) == 0 || l.names[variable] == "" {
				t.Errorf("%s is %q, set as %q with %v", variable, value, *to, problems)
			}
		}
		for _, p := range problems {
			if p.name == "" || p.wrong == "" || p.remedy == "" || strings.Contains(Problems{p}.Error(), "\x1b") {
				t.Errorf("%+v", p)
			}
		}
	})
}
