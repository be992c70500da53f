package helm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"rollcall/deploy/internal/program"
)

// installs returns, of the "helm install" or "helm upgrade" in a section of the chart's README, the values that
// it sets, and the files or folders that the Secret before it is made of, by the Secret's name.
func installs(t *testing.T, section string) (set map[string]any, secrets map[string]string) {
	t.Helper()
	text, err := os.ReadFile("rollcall/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("the README has no section %s", section)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	secrets = map[string]string{}
	for _, secret := range regexp.MustCompile(`(?m)^    kubectl create secret generic (\S+) --from-file=(\S+)`).FindAllStringSubmatch(part, -1) {
		secrets[secret[1]] = secret[2]
	}
	command := regexp.MustCompile(`(?m)^    helm (?:install|upgrade) rollcall deploy/helm/rollcall( .*)$`).FindStringSubmatch(part)
	if command == nil {
		t.Fatalf("no helm install in\n%s", part)
	}
	set = map[string]any{}
	for _, flag := range strings.Split(command[1], " --set ")[1:] {
		if err := strvals.ParseInto(flag, set); err != nil {
			t.Fatal(err)
		}
	}
	return set, secrets
}

// rendered renders the chart with these values.
func rendered(t *testing.T, set map[string]any) *objects {
	t.Helper()
	text, err := yaml.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, string(text))
}

// pod returns the variables of the container, with the paths of the files in its Secrets, of
// which each key is a file of that name in a folder here.
func pod(t *testing.T, o *objects, secrets map[string]string) map[string]string {
	t.Helper()
	variables := environment(t, o)
	for _, m := range o.container(t).VolumeMounts {
		for _, v := range o.StatefulSet.Spec.Template.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			folder, made := secrets[v.Secret.SecretName]
			if !made {
				t.Fatalf("no Secret %s is made", v.Secret.SecretName)
			}
			for _, item := range v.Secret.Items {
				if _, err := os.Stat(filepath.Join(folder, item.Key)); err != nil {
					t.Errorf("the Secret %s: %v", v.Secret.SecretName, err)
				}
				for name, value := range variables {
					if value == m.MountPath+"/"+item.Path {
						variables[name] = filepath.Join(folder, item.Key)
					}
				}
			}
		}
	}
	for name, value := range variables {
		if strings.HasPrefix(value, "/etc/rollcall") {
			t.Errorf("%s: nothing is mounted at %s", name, value)
		}
	}
	return variables
}

// TestEnrolled: with the README's commands, the service has the credentials that rollcall
// enroll made for it, and the variables beside them; with these it runs.
func TestEnrolled(t *testing.T) {
	set, secrets := installs(t, "With credentials of rollcall enroll")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	program.Output(t, program.Rollcall(t), "enroll", "--init", filepath.Join(dir, "enrolled"), "--url", "nats://"+address)
	for name, folder := range secrets {
		secrets[name] = filepath.Join(dir, folder)
	}
	service := filepath.Join(dir, "enrolled/service")
	ca := filepath.Join(service, "ca.pem")
	if err := os.WriteFile(ca, nil, 0o600); err != nil { // as with --ca
		t.Fatal(err)
	}
	variables := pod(t, rendered(t, set), secrets)
	env, err := os.ReadFile(filepath.Join(service, "rollcall.env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(env) + "NATS_CA=/etc/rollcall/ca.pem\n") {
		name, value, is := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Replace(value, "/etc/rollcall", service, 1)
		if is && name != "NATS_URL" && variables[name] != value {
			t.Errorf("%s is %q, rollcall enroll wrote %q", name, variables[name], value)
		}
	}

	conf := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\ninclude \"enrolled/accounts.conf\"\n", address, filepath.Join(dir, "store"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program.Start(t, nil, program.Build(t, "github.com/nats-io/nats-server/v2"), "--config", conf).AwaitLog("Server is ready")
	admin := filepath.Join(dir, "enrolled/admin")
	if p := program.Start(t, []string{
		"NATS_URL=nats://" + address, "NATS_CREDS=" + admin + "/nats.creds", "NATS_INBOX_PREFIX=_INBOX_admin",
	}, program.Rollcall(t), "streams"); p.Wait() != nil {
		t.Fatal(p.Log())
	}
	for _, value := range []string{"nats.url=nats://" + address, "nats.enrolled.ca=false"} {
		if err := strvals.ParseInto(value, set); err != nil {
			t.Fatal(err)
		}
	}
	var given []string
	for name, value := range pod(t, rendered(t, set), secrets) {
		if strings.HasPrefix(name, "NATS_") {
			given = append(given, name+"="+value)
		}
	}
	s := program.Serve(t, given...)
	if log := s.Log(); strings.Contains(log, "denies") || strings.Contains(log, "Violation") {
		t.Error(log)
	}
}

// TestKeys: with the README's other commands, the service has its key.
func TestKeys(t *testing.T) {
	set, secrets := installs(t, "With keys, or passwords")
	dir := t.TempDir()
	for name, file := range secrets {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		secrets[name] = dir
	}
	variables := pod(t, rendered(t, set), secrets)
	if got := variables["NATS_NKEY"]; got != filepath.Join(dir, "service.nk") || variables["NATS_INBOX_PREFIX"] != "_INBOX_rollcall" {
		t.Errorf("%v", variables)
	}
}
