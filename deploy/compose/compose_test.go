// Package compose_test checks compose.yaml: that it is valid, that everything it names
// exists, and that the programs work together as it configures them.
package compose_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
)

func TestMain(m *testing.M) { program.Main(m) }

// load loads and validates compose.yaml, with all profiles.
func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestLeastPrivilege: no service has more privileges than it needs, and none can be
// reached from other machines.
func TestLeastPrivilege(t *testing.T) {
	for name, s := range load(t).Services {
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read only %v, privileged %v, drops %v, %v", name, s.ReadOnly, s.Privileged, s.CapDrop, s.SecurityOpt)
		}
		if len(s.CapAdd) > 0 && (name != "prepare" || s.NetworkMode != "none" || !slices.Equal(s.CapAdd, []string{"CHOWN"})) {
			t.Errorf("%s has the capabilities %v", name, s.CapAdd)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is published on %q", name, port.HostIP)
			}
		}
		for _, volume := range s.Volumes {
			if volume.Type == types.VolumeTypeBind && !volume.ReadOnly {
				t.Errorf("%s can write to %s", name, volume.Source)
			}
		}
		// Who has the keys of everybody has no network, and nobody else writes to them.
		for _, volume := range s.Volumes {
			if volume.Source == "enrolled" && (s.NetworkMode != "none" || !volume.ReadOnly && !slices.Contains([]string{"init", "enroll"}, name)) {
				t.Errorf("%s has the keys of everybody", name)
			}
		}
		if s.Pid != "" || s.Ipc != "" || len(s.Devices) > 0 {
			t.Errorf("%s shares namespaces or devices of the host", name)
		}
	}
}

// TestServices: long-running services have a health check and a fixed version, and start
// after the services that they need.
func TestServices(t *testing.T) {
	project := load(t)
	for name, s := range project.Services {
		_, tag, _ := strings.Cut(s.Image, ":")
		if s.Build == nil && s.Image != project.Services["rollcall"].Image && (tag == "" || tag == "latest") {
			t.Errorf("%s: no fixed version of %s", name, s.Image)
		}
		if s.Restart == "unless-stopped" && (s.HealthCheck == nil || len(s.HealthCheck.Test) == 0) {
			t.Errorf("%s has no health check", name)
		}
		for on, condition := range s.DependsOn {
			stays := project.Services[on].Restart == "unless-stopped"
			if stays == (condition.Condition == types.ServiceConditionCompletedSuccessfully) {
				t.Errorf("%s waits for %s: %s", name, on, condition.Condition)
			}
		}
	}
}

// TestPaths: each mounted path exists, and each volume is used.
func TestPaths(t *testing.T) {
	project := load(t)
	unused := map[string]bool{}
	for name := range project.Volumes {
		unused[name] = true
	}
	for name, s := range project.Services {
		for _, volume := range s.Volumes {
			if volume.Type == types.VolumeTypeVolume {
				delete(unused, volume.Source)
			} else if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name := range unused {
		t.Errorf("volume %s is not used", name)
	}
}

// listening returns the ports on which the programs listen: NATS and rollcall as
// configured here, the others by default.
func listening(t *testing.T, project *types.Project) map[string]string {
	t.Helper()
	conf := read(t, "nats-server.conf")
	found := regexp.MustCompile(`(?m)^listen: 0\.0\.0\.0:(\d+)$`).FindStringSubmatch(conf)
	if found == nil {
		t.Fatal("the NATS server does not listen on all addresses of its container")
	}
	_, rollcall, err := net.SplitHostPort(value(project, "rollcall", "ROLLCALL_HTTP_ADDR"))
	if err != nil {
		t.Fatal(err)
	}
	_, web, err := net.SplitHostPort(value(project, "web", "ROLLCALL_PAGE_ADDR"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"nats": found[1], "rollcall": rollcall, "web": web, "prometheus": "9090", "grafana": "3000"}
}

// TestAddresses: each configured address is that of a service, reachable from where it
// is configured, and of a port on which the service listens; published ports are listened
// on, too.
func TestAddresses(t *testing.T) {
	project := load(t)
	ports := listening(t, project)
	reach := func(from, address string) {
		t.Helper()
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if ports[host] != port {
			t.Errorf("%s connects to %s, where nothing listens", from, address)
		}
		shared := false
		for network := range project.Services[from].Networks {
			_, both := project.Services[host].Networks[network]
			shared = shared || both
		}
		if !shared {
			t.Errorf("%s shares no network with %s", from, address)
		}
	}
	for name, s := range project.Services {
		for _, port := range s.Ports {
			if strconv.Itoa(int(port.Target)) != ports[name] || port.Published != ports[name] {
				t.Errorf("%s publishes %d as %s", name, port.Target, port.Published)
			}
		}
		for _, text := range s.Environment {
			if u, err := url.Parse(*text); err == nil && u.Host != "" {
				reach(name, u.Host)
			}
		}
	}
	var targets []struct{ Targets []string }
	if err := yaml.Unmarshal([]byte(read(t, "targets.yml")), &targets); err != nil || len(targets) != 1 {
		t.Fatal(targets, err)
	}
	for _, target := range targets[0].Targets {
		reach("prometheus", target)
	}
}

// TestVariables: rollcall knows each variable that is set for it, and every variable that
// Grafana's files use is set.
func TestVariables(t *testing.T) {
	project := load(t)
	help := program.Start(t, nil, program.Rollcall(t), "serve", "--help")
	if err := help.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rollcall", "web", "web-user", "ask", "streams", "admin", "init", "enroll"} {
		for variable := range project.Services[name].Environment {
			if !regexp.MustCompile(`(?m)^  ` + variable + ` `).MatchString(help.Log()) {
				t.Errorf("%s: rollcall does not know %s", name, variable)
			}
		}
	}
	wanted := 0
	for _, path := range []string{"datasources/prometheus.yaml", "dashboards/rollcall.yaml"} {
		text := read(t, filepath.Join("../grafana/provisioning", path))
		for _, found := range regexp.MustCompile(`\$([A-Z_]+)`).FindAllStringSubmatch(uncommented(text), -1) {
			wanted++
			if value(project, "grafana", found[1]) == "" {
				t.Errorf("Grafana needs %s, which is not set", found[1])
			}
		}
	}
	if wanted == 0 {
		t.Error("Grafana's files use no variables")
	}
	for _, path := range []string{"/etc/grafana/provisioning", value(project, "grafana", "ROLLCALL_DASHBOARDS"), value(project, "grafana", "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")} {
		if _, err := os.Stat(outside(t, project.Services["grafana"], path, "")); err != nil {
			t.Errorf("Grafana: %s: %v", path, err)
		}
	}
}

func uncommented(text string) string {
	return regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(text, "")
}

// TestPrometheus: the files mounted for Prometheus are a valid configuration.
func TestPrometheus(t *testing.T) {
	s := load(t).Services["prometheus"]
	dir := t.TempDir()
	for _, volume := range s.Volumes {
		if volume.Type == types.VolumeTypeBind {
			write(t, filepath.Join(dir, volume.Target), read(t, volume.Source))
		}
	}
	for _, argument := range s.Command {
		if path, ok := strings.CutPrefix(argument, "--config.file="); ok {
			prometheustest.Promtool(t, dir, "check", "config", "--lint=all", "--lint-fatal", filepath.Join(dir, path))
			return
		}
	}
	t.Error("Prometheus has no --config.file")
}

// value is a variable's of a service, or empty.
func value(project *types.Project, service, variable string) string {
	if text := project.Services[service].Environment[variable]; text != nil {
		return *text
	}
	return ""
}

// outside returns the path on this machine of a path in a service's container:
// volumes are folders below the one named.
func outside(t *testing.T, s types.ServiceConfig, path, volumes string) string {
	t.Helper()
	best, found := "", ""
	for _, volume := range s.Volumes {
		rest, ok := strings.CutPrefix(path, volume.Target)
		if !ok || len(volume.Target) <= len(best) || rest != "" && rest[0] != '/' {
			continue
		}
		source := volume.Source
		if volume.Type == types.VolumeTypeVolume {
			source = filepath.Join(volumes, source)
		}
		best, found = volume.Target, source+rest
	}
	if found == "" {
		t.Errorf("%s: nothing is mounted for %s", s.Name, path)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
