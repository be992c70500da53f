package main

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// page starts "rollcall web" on a free port and returns it, and its URL.
func page(t *testing.T, args []string, variables ...string) (p *process, url string) {
	t.Helper()
	p = beginPage(t, args, variables...)
	return p, p.says("page", "url")
}

func beginPage(t *testing.T, args []string, variables ...string) *process {
	t.Helper()
	p := &process{t: t, ended: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(binary, "rollcall"), append([]string{"web"}, args...)...)
	p.cmd.Env = kit.Only(append([]string{"ROLLCALL_PAGE_ADDR=127.0.0.1:0"}, variables...)...)
	p.start()
	return p
}

// get returns the status and the body of a page, with the values of headers.
func get(t *testing.T, url string, header ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

var renderedAt = regexp.MustCompile(`data-id="([^"]+)"`)

// openLive opens the stream of the list of machines, as a browser does, and returns it once it has
// begun.
func openLive(t *testing.T, url string) io.Reader {
	t.Helper()
	_, body := get(t, url+"machines")
	id := renderedAt.FindStringSubmatch(body)
	if id == nil {
		t.Fatalf("the page has no id:\n%s", body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"live?of=/machines", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Last-Event-ID", id[1])
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewReader(answer.Body)
	if line, err := lines.ReadString('\n'); err != nil || answer.StatusCode != http.StatusOK || strings.Contains(line, "reload") {
		t.Fatalf("the stream begins with %s, %q, %v", answer.Status, line, err)
	}
	return lines
}

// TestServePage: the service with the embedded server has a page, which shows who logs in.
func TestServePage(t *testing.T) {
	p := serve(t, t.TempDir())
	url := p.says("page", "url")
	for _, says := range []string{"nats needs no login", "page needs no login"} {
		if p.log.Count(says) != 1 {
			t.Errorf("it does not say that %s", says)
		}
	}
	p.tool("", "publish", "--login", "lane", "--machine", "web1")
	kit.Eventually(t, func() bool {
		status, body := get(t, url+"machines/web1")
		return status == 200 && strings.Contains(body, "lane")
	}, "the page shows who logged in")
	if status, _ := get(t, url, "Host", "evil.example"); status != 421 {
		t.Errorf("for another host name: %d", status)
	}
	if p.log.Has("lane") || p.log.Has("web1") {
		t.Error("a name is in the log")
	}
}

// TestServeExpected: the page Service lists the machines that should be there and were never
// heard from, by what their file has now.
func TestServeExpected(t *testing.T) {
	inventory := write(t, "expected", "db9.example.com\n")
	p := serve(t, t.TempDir(), "ROLLCALL_EXPECTED_FILE="+inventory)
	for _, machine := range []string{"db9.example.com", "web10.example.com"} {
		if err := os.WriteFile(inventory, []byte(machine+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, body := get(t, p.says("page", "url")+"service"); status != 200 || !strings.Contains(body, machine) {
			t.Errorf("%d: %s", status, body)
		}
	}
}

// TestServeWithoutPage: with a NATS server of its own, or with off, the service has no page.
func TestServeWithoutPage(t *testing.T) {
	with := serve(t, t.TempDir(), "NATS_URL="+kit.StartServer(t).URL)
	without := serve(t, t.TempDir(), "ROLLCALL_PAGE_ADDR=off")
	for _, p := range []*process{with, without} {
		if p.log.Has(`"msg":"page`) {
			t.Error(p.log.String())
		}
	}
}

// TestPageAddressTaken: the service goes on without a page, and says why; rollcall web ends.
func TestPageAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := "ROLLCALL_PAGE_ADDR=" + taken.Addr().String()
	p := serve(t, t.TempDir(), address)
	if why := p.says("no page", "err"); !strings.Contains(why, "ROLLCALL_PAGE_ADDR") || !strings.Contains(why, taken.Addr().String()) {
		t.Errorf("it says %s", why)
	}
	if got := p.tool("", "publish", "--login", "lane", "--machine", "web1"); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	web := beginPage(t, nil, address)
	<-web.ended
	if said := web.log.String(); web.cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(said, "in use") {
		t.Errorf("%v: %s", web.cmd.ProcessState, said)
	}
}

// TestCannotShow: a page that would be open, or is configured wrongly, does not start, also
// not in the service.
func TestCannotShow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("basic_auth_users: {ada: s3cret}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ variable, says string }{
		"open":       {"ROLLCALL_PAGE_ADDR=0.0.0.0:0", "RequireAndVerifyClientCert"},
		"a tunnel":   {"ROLLCALL_PAGE_HOSTS=rollcall.example.com", "ROLLCALL_PAGE_TRUSTED_PROXIES"},
		"no proxies": {"ROLLCALL_PAGE_USER_HEADER=X-User", "ROLLCALL_PAGE_TRUSTED_PROXIES"},
		"a file":     {"ROLLCALL_PAGE_CONFIG_FILE=" + file, "not a bcrypt hash"},
		"misspelt":   {"ROLLCALL_PAGE_HOST=a", "ROLLCALL_PAGE_HOSTS"},
	} {
		for command, p := range map[string]*process{"web": beginPage(t, nil, tt.variable), "serve": begin(t, t.TempDir(), tt.variable)} {
			<-p.ended
			said, variable, _ := strings.Cut(p.log.String(), ": ")
			if p.cmd.ProcessState.ExitCode() != exitConfig || said != "rollcall" || !strings.Contains(variable, tt.says) || strings.Contains(variable, "s3cret") {
				t.Errorf("%s, %s: %v: %s", name, command, p.cmd.ProcessState, p.log.String())
			}
		}
	}
}

// TestWeb: the page is up without NATS, shows the roster when the service is there, and ends
// with exit code 0 also while streams are open.
func TestWeb(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	address := kit.FreeAddress(t)
	web, url := page(t, []string{"--server", "nats://" + address}, "NOTIFY_SOCKET="+m.Path())
	m.Await("READY=1")
	if status, body := get(t, url+"livez"); status != 200 || body != "ok\n" {
		t.Errorf("%d: %s", status, body)
	}
	if status, body := get(t, url); status != http.StatusBadGateway || !strings.Contains(body, "NATS") {
		t.Errorf("without NATS: %d: %s", status, body)
	}
	kit.Eventually(t, func() bool { return web.log.Has(address) }, "it says that it cannot connect")
	p := serve(t, t.TempDir(), "ROLLCALL_EMBEDDED_ADDR="+address, "ROLLCALL_PAGE_ADDR=off")
	p.tool("", "publish", "--login", "lane", "--machine", "web1")
	kit.Eventually(t, func() bool {
		status, body := get(t, url+"machines/web1")
		return status == 200 && strings.Contains(body, "lane")
	}, "the page shows who logged in")

	stream := openLive(t, url)
	begun := time.Now()
	if code := web.stop(syscall.SIGTERM); code != 0 || time.Since(begun) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(begun))
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	m.Await("STOPPING=1")
	if web.log.Has("lane") {
		t.Error("a name is in the log")
	}
}

// TestWebRefused: a login that NATS refuses is said, and the page stays up.
func TestWebRefused(t *testing.T) {
	server := kit.StartServer(t, kit.WithPassword("reader", "right"))
	web, url := page(t, nil, "NATS_URL="+server.URL, "NATS_USER=reader", "NATS_PASSWORD=s3cret")
	kit.Eventually(t, func() bool { return strings.Contains(web.log.String(), "NATS_USER") }, "it names the login")
	if status, _ := get(t, url+"livez"); status != 200 {
		t.Errorf("%d", status)
	}
	if web.log.Has("s3cret") {
		t.Error("the password is in the log")
	}
	if code := web.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestServeEndsWithStreams: open streams of the page do not delay the end of the service.
func TestServeEndsWithStreams(t *testing.T) {
	p := serve(t, t.TempDir(), "ROLLCALL_SNAPSHOT_INTERVAL=1h")
	url := p.says("page", "url")
	p.tool("", "publish", "--login", "lane", "--machine", "web1")
	for range 3 {
		openLive(t, url)
	}
	begun := time.Now()
	if code := p.stop(syscall.SIGTERM); code != 0 || time.Since(begun) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(begun))
	}
	if !p.log.Has("last snapshot written, ending") {
		t.Error("no last snapshot")
	}
}

// TestHealthcheckOfPage: the page is checked at its own address, without a login, and with TLS
// by the certificate of its own file.
func TestHealthcheckOfPage(t *testing.T) {
	check := func(variables map[string]string, args ...string) result {
		t.Helper()
		kit.Environment(t, variables)
		return rollcall(t.Context(), nil, append([]string{"healthcheck", "--page"}, args...)...)
	}
	_, url := page(t, nil, "NATS_URL="+kit.StartServer(t).URL)
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	check(map[string]string{"ROLLCALL_PAGE_ADDR": addr}).check(t, exitDone, url+"livez: ok\n", "")
	check(map[string]string{"ROLLCALL_PAGE_ADDR": addr}, "--ready").check(t, exitUsage, "", "--ready")
	check(map[string]string{"ROLLCALL_PAGE_ADDR": "off"}).check(t, exitConfig, "", "ROLLCALL_PAGE_ADDR")

	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "rollcall.example.com")
	const hash = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
	file := write(t, "web.yml", "basic_auth_users: {ada: "+hash+"}\ntls_server_config:\n  cert_file: "+dir+"/cert.pem\n  key_file: "+dir+"/key.pem\n")
	_, url = page(t, nil, "NATS_URL="+kit.StartServer(t).URL, "ROLLCALL_PAGE_CONFIG_FILE="+file)
	addr = strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/")
	check(map[string]string{"ROLLCALL_PAGE_ADDR": addr, "ROLLCALL_PAGE_CONFIG_FILE": file}).check(t, exitDone, url+"livez: ok\n", "")
	a.Issue(t, dir, "rollcall.example.com")
	other := write(t, "web.yml", "tls_server_config:\n  cert_file: "+a.File+"\n  key_file: "+dir+"/key.pem\n")
	check(map[string]string{"ROLLCALL_PAGE_ADDR": addr, "ROLLCALL_PAGE_CONFIG_FILE": other}).check(t, exitConfig, "", "ROLLCALL_PAGE_CONFIG_FILE")
}

// TestWebAddUser: the password that is printed opens the page; a second time none is made.
func TestWebAddUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.yml")
	made := rollcall(t.Context(), nil, "web", "--add-user", "ada", file)
	user, password, _ := strings.Cut(strings.TrimSuffix(made.out, "\n"), ": ")
	if made.code != exitDone || made.err != "" || user != "ada" || password == "" {
		t.Fatalf("%+v", made)
	}
	rollcall(t.Context(), nil, "web", "--add-user", "ada", file).check(t, exitDone, "", "rollcall: web: ada has a password")
	rollcall(t.Context(), nil, "web", "--add-user", "a:b", file).check(t, exitFailed, "", "rollcall: web: ")
	rollcall(t.Context(), nil, "web", "--add-user", "ada").check(t, exitUsage, "", "--add-user")
	rollcall(t.Context(), nil, "web", file).check(t, exitUsage, "", "ROLLCALL_PAGE_CONFIG_FILE")
	_, url := page(t, nil, "NATS_URL="+kit.StartServer(t).URL, "ROLLCALL_PAGE_CONFIG_FILE="+file, "ROLLCALL_PAGE_HOSTS=rollcall.example.com")
	login := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+password))
	}
	for given, refused := range map[string]bool{password: false, "wrong": true} {
		// There is no service to ask, so whoever is let in sees that.
		if status, _ := get(t, url, "Host", "rollcall.example.com", "Authorization", login(given)); (status == http.StatusUnauthorized) != refused {
			t.Errorf("with %q: %d", given, status)
		}
	}
}
