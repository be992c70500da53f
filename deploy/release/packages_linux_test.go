package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

func TestMain(m *testing.M) { program.Main(m) }

// packages are the folders of the packages of each version that was made.
var packages = map[string]string{}

// packagesOf creates the packages of a version for this machine. Only the first call does.
func packagesOf(t *testing.T, version string) string {
	t.Helper()
	if folder, ok := packages[version]; ok {
		return folder
	}
	s, err := currentSource(version)
	if err != nil {
		t.Fatal(err)
	}
	folder := program.Folder(t)
	if _, err := s.packageAll(folder, runtime.GOARCH, nil); err != nil {
		t.Fatal(err)
	}
	packages[version] = folder
	return folder
}

// fleet is a machine that the packages are installed on, and the folder that its
// credentials come from.
type fleet struct {
	*machine.Machine
	t      *testing.T
	folder string // of rollcall enroll
	conf   string // of the server
}

// newFleet starts a NATS server that has an operator.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{Machine: machine.Boot(t, "web1"), t: t, folder: filepath.Join(t.TempDir(), "enrolled"), conf: filepath.Join(t.TempDir(), "nats.conf")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	f.rollcall("enroll", "--init", f.folder, "--url", "nats://"+address)
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\ninclude %q\n", address, t.TempDir(), "accounts.conf")
	if err := os.WriteFile(f.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.load()
	server := program.Start(t, nil, program.Build(t, "github.com/nats-io/nats-server/v2"), "-c", f.conf)
	server.AwaitLog("Server is ready")
	f.Forward(address)
	if out, err := f.ask("admin", "streams"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return f
}

// load copies the accounts to where the server reads them.
func (f *fleet) load() {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.folder, "accounts.conf"))
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(f.conf), "accounts.conf"), text, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) rollcall(args ...string) string {
	f.t.Helper()
	out, err := exec.Command(program.Rollcall(f.t), args...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("rollcall %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// ask runs a command with the variables in a folder.
func (f *fleet) ask(folder string, args ...string) (string, error) {
	f.t.Helper()
	cmd := exec.Command("sh", append([]string{"-ec", `set -a; . "$0"; exec "$@"`, filepath.Join(f.folder, folder, "nats.env"), program.Rollcall(f.t)}, args...)...)
	out, err := cmd.Output()
	return string(out), err
}

// install copies a package to the machine and installs it.
func (f *fleet) install(folder, name string) {
	f.t.Helper()
	file := f.glob(folder, name+"_*.deb")
	f.Copy(file, "/srv/"+filepath.Base(file))
	f.Run("dpkg", "--install", "/srv/"+filepath.Base(file))
}

// copied copies the files of a folder of rollcall enroll to one on the machine, as "scp -r"
// does, and as if the umask of both sides were the strictest: only root can read them.
func (f *fleet) copied(folder, to string) {
	f.t.Helper()
	names, err := filepath.Glob(filepath.Join(f.folder, folder, "*"))
	if err != nil || len(names) == 0 {
		f.t.Fatal(names, err)
	}
	for _, name := range names {
		f.Copy(name, "/srv/new/"+filepath.Base(name))
		f.Run("install", "-m", "600", "/srv/new/"+filepath.Base(name), to)
	}
	f.Run("chmod", "u=rwx,g=,o=", to)
	f.Run("chmod", "g-s", to)
}

func (f *fleet) active(unit string) string {
	out, _ := f.Try("systemctl", "is-active", unit)
	return strings.TrimSpace(out)
}

// TestPackages: the packages are installed, upgraded and removed on a machine; with what
// rollcall enroll made, copied there, both programs run as they are.
func TestPackages(t *testing.T) {
	f := newFleet(t)
	first, second := packagesOf(t, "v1.2.3"), packagesOf(t, "v1.3.0")
	for name, want := range map[string]string{"rollcall": "ROLLCALL HISTORY BACKUP", "rollcall-agent": "ROLLCALL-AGENT TELL"} {
		f.install(first, name)
		if state := f.active(name); state != "inactive" {
			t.Errorf("%s is %s without settings", name, state)
		}
		if enabled := strings.TrimSpace(f.Run("systemctl", "is-enabled", name)); enabled != "enabled" {
			t.Errorf("%s is %s", name, enabled)
		}
		if is := f.Run("stat", "-c", "%a %U:%G", "/etc/"+name); strings.TrimSpace(is) != "2750 root:"+name {
			t.Errorf("/etc/%s: %s", name, is)
		}
		for _, file := range []string{"bash-completion/completions/" + name, "zsh/vendor-completions/_" + name, "fish/vendor_completions.d/" + name + ".fish"} {
			if script := f.Run("cat", "/usr/share/"+file); !strings.Contains(script, name) {
				t.Errorf("%s is no completion of %s:\n%s", file, name, script)
			}
		}
		if page := f.Run("zcat", "/usr/share/man/man1/"+name+".1.gz"); !strings.Contains(page, want) {
			t.Errorf("the manual of %s lacks %s:\n%s", name, want, page)
		}
	}
	if is := f.Run("stat", "-c", "%a %U:%G", "/etc/rollcall-web"); strings.TrimSpace(is) != "2750 root:rollcall-web" {
		t.Errorf("/etc/rollcall-web: %s", is)
	}
	f.copied("service", "/etc/rollcall/")
	f.copied("page", "/etc/rollcall-web/")
	f.Run("systemctl", "start", "rollcall", "rollcall-web")

	f.rollcall("enroll", "--dir", f.folder, "web1")
	f.copied("machines/web1", "/etc/rollcall-agent/")
	f.Run("systemctl", "start", "rollcall-agent")
	f.AddUsers("ada")
	f.Login("ada", "")
	f.await("ada is on", "ada")
	f.awaitPage("ada")

	before := f.Run("systemctl", "show", "--value", "--property=MainPID", "rollcall-agent")
	for _, name := range []string{"rollcall", "rollcall-agent"} {
		f.install(second, name)
		program.Eventually(t, name+" runs after the upgrade", func() bool { return f.active(name) == "active" })
	}
	if after := f.Run("systemctl", "show", "--value", "--property=MainPID", "rollcall-agent"); after == before {
		t.Error("the old agent runs after the upgrade")
	}
	f.wantVersion("v1.3.0")
	program.Eventually(t, "the page runs after the upgrade", func() bool { return f.active("rollcall-web") == "active" })
	f.AddUsers("bob")
	f.Login("bob", "")
	f.await("who logs in after the upgrade is on", "ada, bob")
	f.awaitPage("bob")
	f.wantPAM()

	f.Run("dpkg", "--remove", "rollcall-agent")
	f.install(second, "rollcall-agent")
	program.Eventually(t, "the agent runs after it was removed and installed again", func() bool { return f.active("rollcall-agent") == "active" })

	for _, name := range []string{"rollcall", "rollcall-agent"} {
		f.Run("dpkg", "--remove", name)
		if state := f.active(name); state == "active" {
			t.Errorf("%s is %s after it was removed", name, state)
		}
		f.Run("test", "-d", "/etc/"+name)
		f.Run("test", "-d", "/var/lib/"+name)
		f.Run("dpkg", "--purge", name)
		for _, left := range []string{"/etc/" + name, "/var/lib/" + name, "/usr/lib/systemd/system/" + name + ".service"} {
			if out, err := f.Try("test", "!", "-e", left); err != nil {
				t.Errorf("after it was purged there is %s %s", left, out)
			}
		}
	}
	for _, left := range []string{"/etc/rollcall-web", "/usr/lib/systemd/system/rollcall-web.service", "/etc/systemd/system/multi-user.target.wants/rollcall-web.service"} {
		if out, err := f.Try("test", "!", "-e", left, "-a", "!", "-L", left); err != nil {
			t.Errorf("after it was purged there is %s %s", left, out)
		}
	}
	f.wantRPM(first, second)
}

// awaitPage waits until the page shows that a user is on.
func (f *fleet) awaitPage(user string) {
	f.t.Helper()
	program.Eventually(f.t, "the page shows "+user, func() bool {
		page, err := f.Try("curl", "--silent", "--fail", "http://localhost:8088/machines/web1")
		return err == nil && strings.Contains(page, user)
	})
}

func (f *fleet) wantVersion(version string) {
	f.t.Helper()
	for _, command := range [][]string{{"rollcall", "version"}, {"rollcall-agent", "--version"}} {
		if got := f.Run(command...); !strings.HasPrefix(got, command[0]+" "+version+" ") {
			f.t.Error(got)
		}
	}
}

// rpm runs RPM, which does not know what Debian has installed, and in Debian 12 wants to be
// forced.
func (f *fleet) rpm(args ...string) string {
	f.t.Helper()
	command := []string{"rpm", "--nodeps"}
	if _, err := f.Try("rpm", "--force-debian", "--version"); err == nil {
		command = append(command, "--force-debian")
	}
	return f.Run(append(command, args...)...)
}

// upgradeRPM installs a package of RPM, or a newer one.
func (f *fleet) upgradeRPM(folder, name string) {
	f.t.Helper()
	file := f.glob(folder, name+"-[0-9]*.rpm")
	f.Copy(file, "/srv/"+filepath.Base(file))
	f.rpm("--upgrade", "/srv/"+filepath.Base(file))
	// Owners, modes and contents; nothing is printed of what is as it was packed.
	if out, err := f.Try("rpm", "--verify", "--nodeps", name); err != nil || out != "" {
		f.t.Errorf("%s as installed: %v\n%s", name, err, out)
	}
}

// wantRPM does with the packages of RPM what was done with Debian's: they are installed,
// upgraded and removed, and with what rollcall enroll made, both programs run as they are.
func (f *fleet) wantRPM(first, second string) {
	machine.Need(f.t, "rpm")
	f.t.Helper()
	both := []string{"rollcall", "rollcall-agent"}
	for _, name := range both {
		f.upgradeRPM(first, name)
		if enabled := strings.TrimSpace(f.Run("systemctl", "is-enabled", name)); enabled != "enabled" {
			f.t.Errorf("%s is %s", name, enabled)
		}
		if is := f.Run("stat", "-c", "%a %U:%G", "/etc/"+name); strings.TrimSpace(is) != "2750 root:"+name {
			f.t.Errorf("/etc/%s: %s", name, is)
		}
		f.Run("test", "-e", "/usr/share/zsh/site-functions/_"+name)
		for line := range strings.Lines(f.Run("rpm", "--query", "--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]", name)) {
			mode := "-rw-r--r--"
			if strings.HasSuffix(line, " /usr/bin/"+name+"\n") {
				mode = "-rwxr-xr-x"
			}
			if !strings.HasPrefix(line, mode+" root:root /usr/") {
				f.t.Errorf("%s has %s", name, line)
			}
		}
	}
	f.copied("service", "/etc/rollcall/")
	f.copied("machines/web1", "/etc/rollcall-agent/")
	f.copied("page", "/etc/rollcall-web/")
	f.Run(append([]string{"systemctl", "start", "rollcall-web"}, both...)...)
	f.AddUsers("eve")
	f.Login("eve", "")
	f.awaitOn("eve")
	f.awaitPage("eve")
	for _, name := range both {
		f.upgradeRPM(second, name)
		program.Eventually(f.t, name+" runs after the upgrade", func() bool { return f.active(name) == "active" })
	}
	f.wantVersion("v1.3.0")
	f.AddUsers("fred")
	f.Login("fred", "")
	f.awaitOn("fred")

	f.Run("systemctl", "disable", "rollcall")
	f.rpm("--upgrade", "--force", "/srv/"+filepath.Base(f.glob(second, "rollcall-[0-9]*.rpm")))
	if enabled, _ := f.Try("systemctl", "is-enabled", "rollcall"); strings.TrimSpace(enabled) != "disabled" {
		f.t.Errorf("rollcall, which was disabled, is %s after an upgrade", enabled)
	}
	for _, name := range both {
		f.rpm("--erase", name)
		if state := f.active(name); state == "active" {
			f.t.Errorf("%s is %s after it was removed", name, state)
		}
		f.Run("test", "-d", "/etc/"+name)
		f.Run("test", "-d", "/var/lib/"+name)
		for _, left := range []string{"/usr/bin/" + name, "/etc/systemd/system/multi-user.target.wants/" + name + ".service"} {
			if out, err := f.Try("test", "!", "-e", left, "-a", "!", "-L", left); err != nil {
				f.t.Errorf("after it was removed there is %s %s", left, out)
			}
		}
	}
}

// glob returns the only file of this pattern in a folder.
func (f *fleet) glob(folder, pattern string) string {
	f.t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(found) != 1 {
		f.t.Fatal(found, err)
	}
	return found[0]
}

// awaitOn waits until a user is on web1.
func (f *fleet) awaitOn(user string) {
	f.t.Helper()
	program.Eventually(f.t, user+" is on", func() bool {
		out, err := f.ask("readers/reader", "where", user)
		return err == nil && strings.Contains(out, "web1")
	})
}

// TestAgentCompletion: the completion of rollcall-agent has the words of its help, in each shell.
func TestAgentCompletion(t *testing.T) {
	agent := program.Build(t, "rollcall/cmd/rollcall-agent")
	_, usage, _ := strings.Cut(program.Output(t, agent, "--help"), "\n\n")
	usage, _, _ = strings.Cut(usage[strings.Index(usage, "\n  run "):], "\n\n")
	var words []string
	for line := range strings.Lines(usage) {
		words = append(words, strings.Fields(strings.Split(strings.TrimSpace(line)+"  ", "  ")[0])...)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) < 5 {
		t.Fatalf("the words of the help are %q", words)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, err := os.ReadFile("../packages/rollcall-agent." + shell)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if !regexp.MustCompile(`[ '"(]` + word + `[ '")]`).Match(script) {
				t.Errorf("the completion for %s lacks %s", shell, word)
			}
		}
	}
	for typed, want := range map[string]string{"": "run status tell --help --version", "--v": "--version", "tell ": "--pam --help", "run --o": "--once", "status": "status", "run --once ": ""} {
		line := strings.Split("rollcall-agent "+typed, " ")
		script := `. ../packages/rollcall-agent.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rollcall_agent; echo "${COMPREPLY[*]}"`
		if got := strings.TrimSpace(program.Output(t, "bash", append([]string{"-uc", script, "bash"}, line...)...)); got != want {
			t.Errorf("%q is completed by %q, want %q", typed, got, want)
		}
	}
}

// wantPAM opens sessions of a service that logind does not see, as in
// deploy/publishers/README.md, for users whose names mean something to JSON or a shell.
func (f *fleet) wantPAM() {
	f.t.Helper()
	f.Write("/etc/pam.d/vsftpd", 0o644, []byte("auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n"+
		"session optional pam_exec.so quiet /usr/bin/rollcall-agent tell --pam\n"))
	for _, user := range []string{"two words", `O"Brien\`, "lane@EXAMPLE.COM", "$(id)", "'single'", "名前"} {
		f.Run("pamtester", "-Itty=/dev/pts/7", "-Irhost=10.0.0.7", "vsftpd", user, "open_session")
		program.Eventually(f.t, user+" is on", func() bool {
			out, err := f.ask("readers/reader", "where", user)
			return err == nil && strings.Contains(out, "web1") && strings.Contains(out, "pts/7") && strings.Contains(out, "10.0.0.7") && strings.Contains(out, "vsftpd")
		})
	}
	f.Run("pamtester", "vsftpd", "short", "open_session", "close_session")
	program.Eventually(f.t, "a session that was closed is over", func() bool {
		out, err := f.ask("readers/reader", "history", "--user", "short")
		return err == nil && strings.Contains(out, "logout")
	})
}

// await waits until these are on.
func (f *fleet) await(what, users string) {
	f.t.Helper()
	program.Eventually(f.t, what, func() bool {
		out, err := f.ask("readers/reader", "report")
		return err == nil && out == "web1: "+users+"\n"
	})
}
