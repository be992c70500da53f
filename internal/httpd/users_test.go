package httpd

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestAddUser: users are added to a file that has none, or some, with their passwords and all
// else in it as it was; one who is there keeps the password.
func TestAddUser(t *testing.T) {
	a := kit.NewAuthority(t)
	for name, content := range map[string]string{
		"no file":    "-",
		"empty":      "",
		"TLS":        withTLS,
		"users":      withUsers + hash(t, "right") + "\n",
		"no newline": withUsers + hash(t, "right"),
		"both":       "# who\n" + withUsers + hash(t, "right") + "\n" + withTLS,
		"wide":       "basic_auth_users: # all\n        prometheus: " + hash(t, "right") + "\n        bob: " + hash(t, "x") + "\n",
		"no one":     "basic_auth_users:\n" + withTLS,
	} {
		dir := t.TempDir()
		a.Issue(t, dir, "")
		path := filepath.Join(dir, "web.yml")
		if content != "-" {
			configure(t, dir, content)
		}
		passwords := map[string]string{}
		users := []string{"ada", "bea"}
		if name == "both" { // a password takes time to make and to check
			users = append(users, "O'Brien \\\"x\"", "*", "名前")
		}
		for _, user := range users {
			password, err := AddUser(path, user)
			if err != nil || len(password) < 20 {
				t.Fatalf("%s: %q: %q, %v", name, user, password, err)
			}
			passwords[user] = password
		}
		if strings.Contains(content, "prometheus") {
			passwords["prometheus"] = "right"
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if password, err := AddUser(path, "ada"); password != "" || err != nil {
			t.Errorf("%s: ada again: %q, %v", name, password, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s: who is there changed the file", name)
		}
		for user, password := range passwords {
			if strings.Contains(string(before), password) {
				t.Errorf("%s: the file has a password", name)
			}
			if name != "both" && user == "bea" {
				continue
			}
			url := serve(t, ServerConfig{WebConfigFile: path})
			c := http.DefaultClient
			if strings.HasPrefix(url, "https") {
				c = client(t, a)
			}
			for given, want := range map[string]int{password: 200, password + "x": 401} {
				if got, _, err := status(t, c, "GET", url+"/livez", user, given); err != nil || got != want {
					t.Errorf("%s: %q: %d, %v, want %d", name, user, got, err, want)
				}
			}
		}
		if info, err := os.Stat(path); err != nil || content == "-" && info.Mode() != 0o640 || content != "-" && info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
			t.Errorf("%s: %q are left", name, left)
		}
	}
}

// TestAddUserRefused: what cannot be a user, and a file to which none can be added, is
// refused, and the file stays.
func TestAddUserRefused(t *testing.T) {
	for _, name := range []string{"", "a:b", "a\nb", strings.Repeat("a", 256)} {
		if _, err := AddUser(filepath.Join(t.TempDir(), "web.yml"), name); err == nil {
			t.Errorf("%q is a user", name)
		}
	}
	for _, content := range []string{
		"basic_auth_users: {prometheus: '" + hash(t, "right") + "'}\n", "basic_auth_users: hunter2\n", "basic_auth_user: {}\n",
	} {
		path := configure(t, t.TempDir(), content)
		_, err := AddUser(path, "ada")
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", content, err)
		}
		if after, _ := os.ReadFile(path); string(after) != content {
			t.Errorf("%q became %q", content, after)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); left != nil {
			t.Errorf("%q are left", left)
		}
	}
	if _, err := AddUser(filepath.Join(t.TempDir(), "none", "web.yml"), "ada"); err == nil {
		t.Error("a user without a folder")
	}
}
