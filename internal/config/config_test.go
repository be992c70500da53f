package config

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/httpd"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// checkWeb says of a web configuration file what httpd would.
func checkWeb(path string) error { return httpd.CheckWebConfig(path) }

func TestDefaults(t *testing.T) {
	kit.Environment(t, nil)
	cfg, err := ReadServe(checkWeb)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Settings(), roster.DefaultSettings(); got != want {
		t.Errorf("settings %+v, want %+v", got, want)
	}
	if got, want := cfg.Subjects().Base(), rollcallv1.DefaultSubject; got != want {
		t.Errorf("subject %s, want %s", got, want)
	}
	want := Streams{
		rollcallv1.DefaultEventsStream, rollcallv1.DefaultReportsStream,
		DeadLetters{rollcallv1.DefaultDeadLettersStream},
		age(2160 * time.Hour), 0, 1,
	}
	if cfg.Streams != want {
		t.Errorf("streams %+v, want %+v", cfg.Streams, want)
	}
	if cfg.NATSURL != "" || cfg.EmbeddedAddr != "127.0.0.1:4222" || cfg.HTTPAddr != "127.0.0.1:8080" || cfg.DataDir != "rollcall-data" {
		t.Errorf("addresses and folder: %+v", cfg)
	}
}

func TestVariableWithPrefixWins(t *testing.T) {
	for _, test := range []struct {
		name string
		set  map[string]string
		want serverURL
	}{
		{"bare", map[string]string{"NATS_URL": "nats://a"}, "nats://a"},
		{"prefixed", map[string]string{"ROLLCALL_NATS_URL": "nats://b"}, "nats://b"},
		{"both", map[string]string{"NATS_URL": "nats://a", "ROLLCALL_NATS_URL": "nats://b"}, "nats://b"},
		{"empty prefixed", map[string]string{"NATS_URL": "nats://a", "ROLLCALL_NATS_URL": ""}, "nats://a"},
		{"both empty", map[string]string{"NATS_URL": "", "ROLLCALL_NATS_URL": ""}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			kit.Environment(t, test.set)
			cfg, err := ReadClient(nil)
			if err != nil || cfg.NATSURL != test.want {
				t.Errorf("%q, %v; want %q", string(cfg.NATSURL), err, string(test.want))
			}
		})
	}
}

// TestAgentValues: what the agent's variables may be; and its machine has a name by which
// people know it.
func TestAgentValues(t *testing.T) {
	for name, values := range map[string]struct{ good, bad []string }{
		"ROLLCALL_AGENT_MACHINE": {[]string{"web1", "web 1", "*", strings.Repeat("a", 255)}, []string{" ", "a\nb", "a\xff", "a\u200b", strings.Repeat("a", 256)}},
		"ROLLCALL_AGENT_SINCE":   {[]string{"boot", "now", "all"}, []string{"Boot", "yesterday"}},
		"ROLLCALL_AGENT_PRESENT": {[]string{"1m", "24h"}, []string{"59s", "24h1s", "0", "-1m", "15"}},
		"ROLLCALL_AGENT_SPOOL":   {[]string{"64MiB"}, []string{"0", "-1", "much"}},
		"ROLLCALL_AGENT_SOCKET":  {[]string{"/run/socket"}, []string{"socket", "./socket"}},
	} {
		for i, value := range append(values.good, values.bad...) {
			kit.Environment(t, map[string]string{name: value})
			cfg, err := ReadAgent()
			if good := i < len(values.good); good != (err == nil) || err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			if got, err := cfg.Name(); name == "ROLLCALL_AGENT_MACHINE" && i < len(values.good) && (got != value || err != nil) {
				t.Errorf("%s=%q: the name is %q, %v", name, value, got, err)
			}
		}
	}
	kit.Environment(t, nil)
	cfg, err := ReadAgent()
	if err != nil || cfg.Every() != 15*time.Minute || cfg.AgentSince != "boot" || cfg.AgentSpool != 64<<20 || cfg.AgentDir != "/var/lib/rollcall-agent" {
		t.Errorf("by default: %+v, %v", cfg, err)
	}
}

// Only names beginning with ROLLCALL_ are ours: STREAM or SUBJECT in somebody's
// environment is not.
func TestBareNamesAreNotRead(t *testing.T) {
	kit.Environment(t, map[string]string{"STREAM": "no.name", "SUBJECT": "*", "MAX_SKEW": "x", "HTTP_ADDR": "x"})
	if _, err := ReadServe(checkWeb); err != nil {
		t.Error(err)
	}
}

// TestStandby: only services that share a server can stand by for each other.
func TestStandby(t *testing.T) {
	kit.Environment(t, map[string]string{"ROLLCALL_STANDBY": "true"})
	if _, err := ReadServe(checkWeb); err == nil || !strings.HasPrefix(err.Error(), "ROLLCALL_STANDBY: requires NATS_URL: ") {
		t.Errorf("without a server: %v", err)
	}
	kit.Environment(t, map[string]string{"ROLLCALL_STANDBY": "true", "NATS_URL": "nats://a"})
	cfg, err := ReadServe(checkWeb)
	if err != nil || !cfg.Standby || time.Duration(cfg.StandbyTTL) != 10*time.Second {
		t.Errorf("with a server: %+v, %v", cfg.Redundancy, err)
	}
}

func TestValues(t *testing.T) {
	folder := t.TempDir()
	seed := filepath.Join(folder, "seed")
	if err := os.WriteFile(seed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]struct{ good, bad []string }{
		"ROLLCALL_MAX_SKEW":           {[]string{"1ms", "1h30m", "876000h"}, []string{"0", "0s", "-1s", "10", "1d", "999999h", " 1s", "1us"}},
		"ROLLCALL_STANDBY":            {[]string{"false", "False"}, []string{"1", "yes", "on"}},
		"ROLLCALL_STANDBY_TTL":        {[]string{"1s", "2500ms", "1h"}, []string{"0", "999ms", "1h1ms", "1000001us", "10"}},
		"ROLLCALL_STREAM_MAX_AGE":     {[]string{"0", "1s", "2160h"}, []string{"-1h", "1ms", "forever"}},
		"ROLLCALL_STREAM_MAX_BYTES":   {[]string{"1", "1048576", "10GiB", "10 gib", "5TB"}, []string{"0", "-1", "10GB/s", "1.5GiB", "9223372036854775807GiB", "18446744073709551616", "GiB"}},
		"ROLLCALL_STREAM_REPLICAS":    {[]string{"1", "5"}, []string{"0", "6", "-1", "three"}},
		"ROLLCALL_SILENT_AFTER":       {[]string{"0", "1s", "15m"}, []string{"-1h", "1ms", "never"}},
		"ROLLCALL_MAX_MACHINES":       {[]string{"1", "1000000"}, []string{"0", "-5", "1e6", "1_000", "0x10", "99999999999999999999"}},
		"ROLLCALL_HTTP_ADDR":          {[]string{":8080", "127.0.0.1:0", "[::1]:8080", "localhost:1"}, []string{"8080", "localhost", "a:b", "a:65536", "http://a:80", "::1:80", "a:-1"}},
		"ROLLCALL_SUBJECT":            {[]string{"rollcall", "acme.roll-call_2"}, []string{"a.", ".a", "a..b", "a b", "a.*", "a.>", "é"}},
		"ROLLCALL_STREAM":             {[]string{"A", "rollcall-events_2"}, []string{"a.b", "a b", "a*", "a>", "a/b", `a\b`, "a\tb", "é", strings.Repeat("a", 256)}},
		"ROLLCALL_LOG_LEVEL":          {[]string{"debug", "info", "warn", "error", "INFO"}, []string{"trace", "info+1", "0"}},
		"ROLLCALL_LOG_FORMAT":         {[]string{"text", "JSON"}, []string{"xml"}},
		"ROLLCALL_HTTP_CONFIG_FILE":   {[]string{seed}, []string{folder, filepath.Join(folder, "none")}},
		"ROLLCALL_PAGE_CONFIG_FILE":   {[]string{seed}, []string{folder, filepath.Join(folder, "none")}},
		"ROLLCALL_PAGE_ADDR":          {[]string{"off", ":8088", "127.0.0.1:0"}, []string{"on", "8088", "no", "a:b"}},
		"ROLLCALL_PAGE_SEVERAL":       {[]string{"2", "1000"}, []string{"1", "0", "-1", "many"}},
		"ROLLCALL_PAGE_EXPECTED_FILE": {[]string{seed}, []string{folder, filepath.Join(folder, "none")}},
		"ROLLCALL_PAGE_HOSTS": {
			[]string{"a", "rollcall.example.com,ROLLCALL", "10.0.0.1,::1", "xn--bcher-kva.example", "a_b"},
			[]string{"http://a", "a:80", "*.example.com", "a/b", "a b", "-a", "a..b", "a.", ".a", "bücher.example", "[::1]:80", "fe80::1%eth0", strings.Repeat("a", 254)},
		},
		// The header that each of them needs is not set.
		"ROLLCALL_PAGE_TRUSTED_PROXIES": {nil, []string{"proxy", "10.0.0.0/33", "10.0.0.1/16", "0.0.0.0/0", "::/0", "10.0.0.1:80", "10.1", "::ffff:10.0.0.1", "fe80::1%eth0"}},
		"ROLLCALL_PAGE_USER_HEADER":     {nil, []string{"X User", "X-User:", "Host", "authorization", "COOKIE", "X_User", "é"}},
		"ROLLCALL_PPROF_ADDR":           {[]string{"127.0.0.1:6060"}, []string{"6060"}},
		"NATS_INBOX_PREFIX":             {[]string{"_INBOX_x", "a.b"}, []string{"a.", "a.>", "a b", "*"}},
		"NATS_NKEY":                     {[]string{seed}, []string{folder, filepath.Join(folder, "none"), "SUAEXAMPLE"}},
		"NATS_CREDS":                    {[]string{seed}, []string{folder, filepath.Join(folder, "none")}},
		"NATS_URL": {
			[]string{"nats://a", "a", "a:4222", "tls://u:p@a:1", "ws://a", "nats://a, nats://t@b", "nats://[::1]:4222", "nats://u:p%2Cq@a"},
			[]string{"http://a", "nats://", "nats://a:b", ",", "nats://a,", "nats://u:p,q@a", "nats://u:4222,q@a", "nats://u:p%@a", "a b"},
		},
	} {
		for _, value := range values.good {
			kit.Environment(t, map[string]string{name: value})
			if _, err := ReadServe(checkWeb); err != nil {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
		for _, value := range values.bad {
			kit.Environment(t, map[string]string{name: value})
			_, err := ReadServe(checkWeb)
			if err == nil || !strings.HasPrefix(err.Error(), name+": ") || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("%s=%q: %v; want one problem", name, value, err)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for value, want := range map[string]size{
		"12": 12, "12B": 12, "2KiB": 2048, "2kb": 2000, "3 MiB": 3 << 20, "3MB": 3e6,
		"10GiB": 10 << 30, "10GB": 10e9, "1TiB": 1 << 40, "1TB": 1e12,
	} {
		var s size
		if err := s.Set(value); err != nil || s != want {
			t.Errorf("%q: %d, %v; want %d", value, s, err, want)
		}
	}
}

// A problem of two variables is not reported while one of them is invalid.
func TestPairs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		set  map[string]string
		want []string
	}{
		{"cert alone", map[string]string{"NATS_CERT": file}, []string{"NATS_CERT"}},
		{"key alone", map[string]string{"ROLLCALL_NATS_KEY": file}, []string{"NATS_KEY"}},
		{"both", map[string]string{"NATS_CERT": file, "NATS_KEY": file}, nil},
		{"key is wrong", map[string]string{"NATS_CERT": file, "ROLLCALL_NATS_KEY": "/none"}, []string{"ROLLCALL_NATS_KEY"}},
		{"password alone", map[string]string{"NATS_PASSWORD": "x"}, []string{"NATS_PASSWORD"}},
		{"same streams", map[string]string{"ROLLCALL_STREAM": "X", "ROLLCALL_DEADLETTERS_STREAM": "X"}, []string{"ROLLCALL_DEADLETTERS_STREAM"}},
		{"same as a default", map[string]string{"ROLLCALL_STREAM": "ROLLCALL_REPORTS"}, []string{"ROLLCALL_REPORTS_STREAM"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			kit.Environment(t, test.set)
			_, err := ReadServe(checkWeb)
			found, _ := err.(Problems)
			var names []string
			for _, p := range found {
				names = append(names, p.name)
			}
			if strings.Join(names, " ") != strings.Join(test.want, " ") {
				t.Errorf("problems of %q, want %q: %v", names, test.want, err)
			}
		})
	}
}

func TestHint(t *testing.T) {
	for name, want := range map[string]string{
		"ROLLCALL_MAXSKEW":          "ROLLCALL_MAX_SKEW",
		"ROLLCALL_max_skew":         "ROLLCALL_MAX_SKEW",
		"ROLLCALL_REPORT_INTERVALL": "ROLLCALL_REPORT_INTERVAL",
		"ROLLCALL_REPORT_STREAM":    "ROLLCALL_REPORTS_STREAM",
		"ROLLCALL_NATS_TOKE":        "ROLLCALL_NATS_TOKEN",
		"ROLLCALL_DATADIR":          "ROLLCALL_DATA_DIR",
	} {
		kit.Environment(t, map[string]string{name: "1"})
		_, err := ReadClient(nil)
		if err == nil || !strings.Contains(err.Error(), name+": no such variable; did you mean "+want+"?") {
			t.Errorf("%s: %v; want a hint at %s", name, err, want)
		}
	}
}

func TestKubernetesVariables(t *testing.T) {
	for name, want := range map[string]bool{
		"ROLLCALL_SERVICE_HOST": true, "ROLLCALL_SERVICE_PORT": true, "ROLLCALL_SERVICE_PORT_METRICS": true,
		"ROLLCALL_PORT": true, "ROLLCALL_PORT_8080_TCP": true, "ROLLCALL_PORT_8080_TCP_ADDR": true,
		"ROLLCALL_METRICS_SERVICE_HOST": true, "ROLLCALL_METRICS_PORT_8080_UDP_PORT": true,
		"ROLLCALL_PORTS": false, "ROLLCALL_SERVICE": false, "ROLLCALL_PORT_TCP": false, "ROLLCALL_SERVICE_HOSTS": false,
	} {
		kit.Environment(t, map[string]string{name: "tcp://10.0.0.1:8080"})
		if _, err := ReadClient(nil); (err == nil) != want {
			t.Errorf("%s: %v; ignored: %t", name, err, want)
		}
	}
}

func TestSecretsAreNotFormatted(t *testing.T) {
	kit.Environment(t, map[string]string{"NATS_URL": "nats://u:hunter2@a,nats://hunter2@b", "ROLLCALL_NATS_TOKEN": "hunter2"})
	cfg, err := ReadServe(checkWeb)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("started", "url", cfg.NATSURL, "token", cfg.NATSToken, "options", cfg.NATS())
	if strings.Contains(log.String(), "hunter2") {
		t.Error(log.String())
	}
}

func TestEveryVariableHasAMeaning(t *testing.T) {
	for _, v := range Variables() {
		if v.Meaning == "" {
			t.Errorf("%s has no meaning", v.key)
		}
	}
}
