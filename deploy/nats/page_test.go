package nats_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

// TestPage: with its credentials, of an operator or with a key, the page shows all that it
// has, live, and is denied nothing.
func TestPage(t *testing.T) {
	t.Run("operator", func(t *testing.T) {
		o := newOperated(t)
		s := program.Serve(t, append(o.as("service"), "ROLLCALL_DATA_DIR="+t.TempDir())...)
		o.enroll("web1")
		publish := func(user string) {
			t.Helper()
			if out, err := command(t, o.as("web1"), "publish", "--login", user, "--machine", "web1"); err != nil {
				t.Fatal(err, out)
			}
		}
		wantPage(t, o.as("page"), publish)
		wantNoDenials(t, s.Log())
	})
	t.Run("keys", func(t *testing.T) {
		w := newWorld(t)
		s := program.Serve(t, w.user("service")...)
		wantPage(t, w.user("page"), func(user string) { w.publish("web1", "--login", user, "--machine", "web1") })
		wantNoDenials(t, s.Log())
	})
}

// wantPage starts the page with these variables, and wants it to show who logs in.
func wantPage(t *testing.T, variables []string, publish func(user string)) {
	t.Helper()
	p := program.Start(t, append(variables, "ROLLCALL_PAGE_ADDR=127.0.0.1:0"), program.Rollcall(t), "web")
	p.AwaitLog(`"msg":"page"`)
	url := regexp.MustCompile(`"url":"(http://[^"]+/)"`).FindStringSubmatch(p.Log())[1]
	get := func(path string) (int, string) {
		t.Helper()
		answer, err := http.Get(url + path)
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
	for _, user := range []string{"lane", "ada"} {
		publish(user)
		program.Eventually(t, "the page shows "+user, func() bool {
			status, text := get("machines/web1")
			return status == http.StatusOK && strings.Contains(text, user)
		})
	}
	for _, path := range []string{"", "machines", "users", "users/lane", "service", "machines?at=2026-11-22T21:00:00Z"} {
		if status, text := get(path); status != http.StatusOK {
			t.Errorf("/%s: %d: %s", path, status, text)
		}
	}
	wantNoDenials(t, p.Log())
}
