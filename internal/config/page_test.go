package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

func TestPageDefaults(t *testing.T) {
	kit.Environment(t, nil)
	cfg, err := ReadPage(nil, checkWeb)
	if err != nil {
		t.Fatal(err)
	}
	if p := cfg.Page; p.PageAddr != "127.0.0.1:8088" || p.PageConfigFile != "" || p.PageSeveral != 5 ||
		p.PageHosts != nil || p.PageTrustedProxies != nil || p.PageUserHeader != "" || p.PageServiceAccounts != nil {
		t.Errorf("%+v", p)
	}
	if names, err := cfg.ExpectedMachines(nil); names != nil || err != nil {
		t.Errorf("without a file machines are expected, %v", err)
	}
}

// TestPageLists: lists are separated by commas, names are in the form in which they are
// compared.
func TestPageLists(t *testing.T) {
	expected := filepath.Join(t.TempDir(), "expected")
	if err := os.WriteFile(expected, []byte("# all\nweb2\nweb1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kit.Environment(t, map[string]string{
		"ROLLCALL_PAGE_ADDR":             "[::1]:0",
		"ROLLCALL_PAGE_HOSTS":            " Rollcall.Example.com, ,10.0.0.5,[FD00::1],fd00::2,",
		"ROLLCALL_PAGE_TRUSTED_PROXIES":  "10.0.0.7, 10.1.0.0/16,fd00::/8,::1",
		"ROLLCALL_PAGE_USER_HEADER":      "x-forwarded-USER",
		"ROLLCALL_PAGE_SERVICE_ACCOUNTS": "svc-*, backup ,[ab]x",
		"ROLLCALL_PAGE_SEVERAL":          "2",
		"ROLLCALL_PAGE_EXPECTED_FILE":    expected,
	})
	cfg, err := ReadPage(nil, checkWeb)
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.Page
	if want := []string{"rollcall.example.com", "10.0.0.5", "fd00::1", "fd00::2"}; !slices.Equal(p.PageHosts, want) {
		t.Errorf("hosts %q, want %q", p.PageHosts, want)
	}
	var want []netip.Prefix
	for _, prefix := range []string{"10.0.0.7/32", "10.1.0.0/16", "fd00::/8", "::1/128"} {
		want = append(want, netip.MustParsePrefix(prefix))
	}
	if !slices.Equal(p.PageTrustedProxies, want) || p.PageUserHeader != "X-Forwarded-User" {
		t.Errorf("proxies %v with %s, want %v", p.PageTrustedProxies, p.PageUserHeader, want)
	}
	if want := []string{"svc-*", "backup", "[ab]x"}; !slices.Equal(p.PageServiceAccounts, want) || p.PageSeveral != 2 {
		t.Errorf("accounts %q on %d machines, want %q", p.PageServiceAccounts, p.PageSeveral, want)
	}
	if names, err := p.ExpectedMachines(nil); err != nil || !slices.Equal(names(), []string{"web1", "web2"}) {
		t.Errorf("expected are not those of the file, %v", err)
	}
}

// TestPagePairs: a header without proxies, or the reverse, is refused: anybody could send the
// header.
func TestPagePairs(t *testing.T) {
	proxies, header := "ROLLCALL_PAGE_TRUSTED_PROXIES", "ROLLCALL_PAGE_USER_HEADER"
	for _, test := range []struct {
		set  map[string]string
		says []string
	}{
		{map[string]string{header: "X-User"}, []string{header + ": requires " + proxies}},
		{map[string]string{proxies: "10.0.0.7"}, []string{proxies + ": requires " + header}},
		{map[string]string{proxies: ",", header: "X-User"}, []string{header + ": requires " + proxies}},
		{map[string]string{proxies: "10.0.0.7", header: "X-User"}, nil},
		{map[string]string{proxies: "0.0.0.0/0", header: "X-User"}, []string{proxies + `: "0.0.0.0/0" is every address`}},
		{map[string]string{proxies: "10.0.0.7, ::/0", header: "X-User"}, []string{proxies + `: "::/0" is every address`}},
		// Of a value that is wrong there is one problem.
		{map[string]string{proxies: "all", header: "X-User"}, []string{proxies + `: "all" is neither`}},
	} {
		kit.Environment(t, test.set)
		_, serve := ReadServe(checkWeb)
		kit.Environment(t, test.set) // reading it unsets what is wrong
		_, web := ReadPage(nil, checkWeb)
		for _, err := range []error{serve, web} {
			var lines []string
			if err != nil {
				lines = err.(Problems).Lines()
			}
			if !slices.EqualFunc(lines, test.says, strings.HasPrefix) {
				t.Errorf("%v: %q, want %q", test.set, lines, test.says)
			}
		}
	}
}

// TestPageOff: serve may have no page, and rollcall web must have an address.
func TestPageOff(t *testing.T) {
	for _, value := range []string{"off", "OFF"} {
		kit.Environment(t, map[string]string{"ROLLCALL_PAGE_ADDR": value})
		if cfg, err := ReadServe(checkWeb); err != nil || !cfg.PageAddr.IsOff() {
			t.Errorf("serve: %s, %v", cfg.PageAddr, err)
		}
		_, err := ReadPage(nil, checkWeb)
		if err == nil || !strings.HasPrefix(err.Error(), "ROLLCALL_PAGE_ADDR: ") {
			t.Errorf("web: %v", err)
		}
	}
}

// TestPageProblems: all problems are listed at once, those of the connection too.
func TestPageProblems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("basic_auth_users: {ada: hunter2}"), 0o600); err != nil {
		t.Fatal(err)
	}
	kit.Environment(t, map[string]string{
		"NATS_URL": "http://a", "ROLLCALL_PAGE_ADDR": "8088", "ROLLCALL_PAGE_HOSTS": "https://a", "ROLLCALL_PAGE_CONFIG_FILE": file, "ROLLCALL_PAGE_HOST": "a",
	})
	_, err := ReadPage(new(Given), checkWeb)
	for _, name := range []string{"NATS_URL", "ROLLCALL_PAGE_ADDR", "ROLLCALL_PAGE_HOSTS", "ROLLCALL_PAGE_CONFIG_FILE", "ROLLCALL_PAGE_HOST"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+name+": ") {
			t.Errorf("no problem with %s in\n%v", name, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the error has the password")
	}
	if cfg, err := ReadPage(&Given{Server: "nats://b"}, checkWeb); err == nil || strings.Contains(err.Error(), "NATS_URL") || cfg.NATSURL != "nats://b" {
		t.Errorf("with --server: %v", err)
	}
}
