package image

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }

const (
	version  = "v1.2.3-image"
	revision = "0123456789abcdef0123456789abcdef01234567"
	user     = 65532
)

// store is the folder in which buildah stores the images of a test.
type store struct {
	t   *testing.T
	dir string
}

// buildah runs buildah and returns its output without surrounding white space.
func (s store) buildah(args ...string) string {
	s.t.Helper()
	path, err := exec.LookPath("buildah")
	if err != nil {
		s.t.Fatal("buildah is missing: apt-get install buildah")
	}
	if os.Getuid() != 0 {
		s.t.Fatal("building an image without a daemon needs root")
	}
	// vfs and chroot work where nothing else does: in a container, and without
	// user namespaces.
	cmd := exec.Command(path, append([]string{
		"--storage-driver", "vfs", "--root", filepath.Join(s.dir, "root"), "--runroot", filepath.Join(s.dir, "run"),
	}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("buildah %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), complaints.String())
	}
	return strings.TrimSpace(out.String())
}

// goImage creates a substitute for the image golang, which would need a registry: this
// machine's /usr, Go and module cache are mounted when it runs.
func (s store) goImage() (name string, volumes []string) {
	s.t.Helper()
	env := goEnv(s.t)
	skeleton := filepath.Join(s.dir, "skeleton")
	for _, dir := range []string{"usr", "goroot", "modules", "tmp", "root", "etc"} {
		if err := os.MkdirAll(filepath.Join(skeleton, dir), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+dir, filepath.Join(skeleton, dir)); err != nil {
			s.t.Fatal(err)
		}
	}
	container := s.buildah("from", "scratch")
	s.buildah("copy", container, skeleton, "/")
	s.buildah("config", "--env", "PATH=/goroot/bin:/usr/bin", "--env", "HOME=/root", "--env", "GOPATH=/go",
		"--env", "GOTOOLCHAIN=local", "--env", "GOPROXY=file:///modules", "--env", "GOSUMDB=off", container)
	s.buildah("commit", container, "localhost/golang")
	s.buildah("rm", container)
	return "localhost/golang", []string{
		"--volume", "/usr:/usr:ro", "--volume", env["GOROOT"] + ":/goroot:ro",
		"--volume", filepath.Join(env["GOMODCACHE"], "cache", "download") + ":/modules:ro",
	}
}

// goEnv downloads the modules of rollcall and returns the paths of Go and of the modules.
func goEnv(t *testing.T) map[string]string {
	t.Helper()
	download := exec.Command("go", "mod", "download")
	download.Dir = program.Root(t)
	if out, err := download.CombinedOutput(); err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	out, err := exec.Command("go", "env", "-json", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		t.Fatal(err)
	}
	return env
}

// config is the configuration of an image.
type config struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Labels       map[string]string
	Volumes      map[string]struct{}
	ExposedPorts map[string]struct{}
	Healthcheck  struct{ Test []string }
}

func (s store) inspect(image string) (c config) {
	s.t.Helper()
	var said struct{ Docker struct{ Config config } }
	if err := json.Unmarshal([]byte(s.buildah("inspect", "--type", "image", image)), &said); err != nil {
		s.t.Fatal(err)
	}
	return said.Docker.Config
}

// TestImage builds the unchanged Dockerfile, with an empty base instead of one from a
// registry, and runs the result.
func TestImage(t *testing.T) {
	s := store{t, t.TempDir()}
	golang, volumes := s.goImage()
	args := append([]string{
		"bud", "--isolation", "chroot", "--format", "docker", "--tag", "rollcall",
		"--build-arg", "GO=" + golang, "--build-arg", "BASE=scratch",
		"--build-arg", "VERSION=" + version, "--build-arg", "REVISION=" + revision,
	}, volumes...)
	s.buildah(append(args, program.Root(t))...)
	c := s.inspect("rollcall")
	t.Run("configuration", func(t *testing.T) { checkConfig(t, c) })
	root := s.buildah("mount", s.buildah("from", "rollcall"))
	t.Run("files", func(t *testing.T) { checkFiles(t, root) })
	t.Run("binary", func(t *testing.T) { checkBinary(t, filepath.Join(root, "rollcall")) })
	t.Run("service", func(t *testing.T) { checkService(t, root, c) })
}

func checkConfig(t *testing.T, c config) {
	only := func(key string) map[string]struct{} { return map[string]struct{}{key: {}} }
	for name, pair := range map[string][2]any{
		"user":        {c.User, fmt.Sprintf("%d:%d", user, user)},
		"entry point": {c.Entrypoint, []string{"/rollcall"}},
		"command":     {c.Cmd, []string{"serve"}},
		"volumes":     {c.Volumes, only("/data")},
		"ports":       {c.ExposedPorts, only("8080/tcp")},
		"healthcheck": {c.Healthcheck.Test, []string{"CMD", "/rollcall", "healthcheck"}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
	for _, want := range []string{"ROLLCALL_DATA_DIR=/data", "ROLLCALL_HTTP_ADDR=0.0.0.0:8080"} {
		if !slices.Contains(c.Env, want) {
			t.Errorf("no %s in %v", want, c.Env)
		}
	}
	const prefix = "org.opencontainers.image."
	for _, label := range []string{"title", "description", "licenses"} {
		if c.Labels[prefix+label] == "" {
			t.Errorf("no label %s in %v", label, c.Labels)
		}
	}
	if c.Labels[prefix+"version"] != version || c.Labels[prefix+"revision"] != revision {
		t.Errorf("labels %v", c.Labels)
	}
}

// checkFiles checks that the image has only the binary, owned by root, and the folder of
// the volume, owned by the user.
func checkFiles(t *testing.T, root string) {
	info := func(name string) (os.FileInfo, uint32) {
		i, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return i, i.Sys().(*syscall.Stat_t).Uid
	}
	if data, owner := info("data"); !data.IsDir() || owner != user {
		t.Errorf("/data: %v, owned by %d", data.Mode(), owner)
	}
	if binary, owner := info("rollcall"); binary.Mode().Perm() != 0o755 || owner != 0 {
		t.Errorf("/rollcall: %v, owned by %d", binary.Mode(), owner)
	}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "rollcall" {
			t.Errorf("%s is in the image", strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// checkBinary checks that the binary is static, prints its version, and has no path of
// the machine that built it.
func checkBinary(t *testing.T, path string) {
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it is not static: it has %v", p.Type)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil || bytes.Contains(content, []byte("/src/cmd/rollcall")) {
		t.Errorf("it contains the path of the folder that it was built in (%v)", err)
	}
	out, err := exec.Command(path, "version", "--output", "json").Output()
	var said struct{ Version, Revision string }
	if err != nil || json.Unmarshal(out, &said) != nil || said.Version != version || said.Revision != revision {
		t.Errorf("version: %s, %v", out, err)
	}
}

// inImage is a shell script that runs a command like a container does: as the image's
// user, with the image's root mounted read-only and a volume on /data. Its arguments are the root,
// the volume and the command.
const inImage = `set -e
mount --bind "$1" "$1"
mount --bind "$2" "$1/data"
mount -o remount,bind,ro "$1"
root=$1
shift 2
exec chroot --userspec=65532:65532 "$root" "$@"`

// checkService checks that with a read-only root and one volume the service serves, and
// that the image's health check succeeds until the service has ended.
func checkService(t *testing.T, root string, c config) {
	volume := t.TempDir()
	if err := os.Chown(volume, user, user); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	// Of two variables with the same name, the last counts.
	env := append(slices.Clone(c.Env), "ROLLCALL_HTTP_ADDR=0.0.0.0:"+port, "ROLLCALL_EMBEDDED_ADDR=127.0.0.1:0")
	run := func(command ...string) *program.Process {
		return program.Start(t, env, "unshare", append([]string{"--mount", "sh", "-c", inImage, "sh", root, volume}, command...)...)
	}
	service := run(append(slices.Clone(c.Entrypoint), c.Cmd...)...)
	service.AwaitLog(`"msg":"ready"`)
	check := c.Healthcheck.Test[1:]
	if p := run(check...); p.Wait() != nil || p.Log() != "http://127.0.0.1:"+port+"/livez: ok\n" {
		t.Errorf("healthcheck: %s", p.Log())
	}
	service.Signal(syscall.SIGTERM)
	if err := service.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	for _, written := range []string{"snapshots", "nats/jetstream"} {
		if _, err := os.Stat(filepath.Join(volume, written)); err != nil {
			t.Errorf("not on the volume: %v", err)
		}
	}
	if p := run(check...); p.Wait() == nil || strings.Count(p.Log(), "\n") != 1 {
		t.Errorf("healthcheck after the end: %s", p.Log())
	}
}
