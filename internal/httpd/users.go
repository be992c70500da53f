package httpd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"

	"rollcall/internal/datadir"
)

// AddUser adds a user to a web configuration file, which is made if it is missing, and returns
// the password that it has made for the user. It is "" if the file has the user already:
// nothing is changed then.
func AddUser(path, name string) (password string, err error) {
	if name == "" || len(name) > 255 || strings.Contains(name, ":") || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("%q is not the name of a user: use up to 255 bytes without a colon", name)
	}
	text, mode, err := readIfThere(path)
	if err != nil {
		return "", err
	}
	var before web.Config
	if len(text) > 0 {
		if err := CheckWebConfig(path); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if err := yaml.Unmarshal(text, &before); err != nil {
			return "", fmt.Errorf("%s: %w", path, unquoted(err))
		}
	}
	//guard:false "a user keeps the password" TestAddUser
	if _, known := before.Users[name]; known {
		return "", nil
	}
	password = rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return "", err
	}
	after := withUser(string(text), name, string(hash))
	if err := checkBeside(path, after); err != nil {
		return "", fmt.Errorf("%s: adding a user: %w: write its basic_auth_users with a user on each line", path, err)
	}
	return password, datadir.Replace(path, []byte(after), mode)
}

// readIfThere reads a file and its mode; of one that is missing, what it is to have.
func readIfThere(path string) (text []byte, mode os.FileMode, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0o640, nil
	case err != nil:
		return nil, 0, err
	}
	text, err = os.ReadFile(path)
	return text, info.Mode().Perm(), err
}

// usersBegin matches where the users begin, and the indentation of the first.
var usersBegin = regexp.MustCompile(`(?m)^basic_auth_users:[ \t]*(?:#.*)?\n([ ]*)`)

// withUser returns the text of a web configuration file with one user more.
func withUser(text, name, hash string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	line := strconv.Quote(name) + ": " + hash + "\n"
	at := usersBegin.FindStringSubmatchIndex(text)
	if at == nil {
		return text + "basic_auth_users:\n  " + line
	}
	indent := text[at[2]:at[3]]
	if indent == "" {
		indent = "  "
	}
	return text[:at[2]] + indent + line + text[at[2]:]
}

// checkBeside checks what a web configuration file is to be, in its folder, as it may name
// other files from there.
func checkBeside(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rollcall-check-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = CheckWebConfig(f.Name())
	}
	return errors.Join(err, os.Remove(f.Name()))
}
