package helm

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"rollcall/deploy/internal/program"
)

// TestWebSelectors: everything of the page selects its pods, and nothing of the service does.
func TestWebSelectors(t *testing.T) {
	o := read(t, full)
	web, service := o.WebDeployment.Spec.Template.Labels, o.StatefulSet.Spec.Template.Labels
	selects := func(selector, labels map[string]string) bool {
		for key, value := range selector {
			if labels[key] != value {
				return false
			}
		}
		return len(selector) > 0
	}
	for name, selector := range map[string]map[string]string{
		"Deployment": o.WebDeployment.Spec.Selector.MatchLabels, "Service": o.WebService.Spec.Selector, "NetworkPolicy": o.WebNetworkPolicy.Spec.PodSelector.MatchLabels,
	} {
		if !selects(selector, web) || selects(selector, service) {
			t.Errorf("the page's %s selects %v", name, selector)
		}
	}
	for name, selector := range map[string]map[string]string{
		"StatefulSet": o.StatefulSet.Spec.Selector.MatchLabels, "Service": o.Service.Spec.Selector, "NetworkPolicy": o.NetworkPolicy.Spec.PodSelector.MatchLabels,
	} {
		if selects(selector, web) {
			t.Errorf("the service's %s selects the page", name)
		}
	}
	if selects(o.ServiceMonitor.Spec.Selector.MatchLabels, o.WebService.Labels) {
		t.Error("the page is scraped")
	}
	port := containerOf(t, o.WebDeployment.Spec.Template.Spec).Ports[0].Name
	if o.WebService.Spec.Ports[0].TargetPort.String() != port || o.WebNetworkPolicy.Spec.Ingress[0].Ports[0].Port.String() != port {
		t.Errorf("the port is %s: %+v, %+v", port, o.WebService.Spec, o.WebNetworkPolicy.Spec)
	}
	if *o.WebDeployment.Spec.Replicas != 2 || o.WebService.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		t.Error("a page and what keeps it live may be of two pods")
	}
	if from := o.WebNetworkPolicy.Spec.Ingress[0].From; len(from) != 1 || len(read(t, page).WebNetworkPolicy.Spec.Ingress[0].From) != 0 {
		t.Errorf("the page may be reached from %+v", from)
	}
}

func TestWebEnvironment(t *testing.T) {
	variables := func(text string) map[string]string {
		return environmentOf(t, containerOf(t, read(t, text).WebDeployment.Spec.Template.Spec))
	}
	got := variables(full)
	want := map[string]string{
		"ROLLCALL_PAGE_ADDR": ":8088", "ROLLCALL_PAGE_HOSTS": "rollcall.example.com,10.0.0.5", "ROLLCALL_PAGE_CONFIG_FILE": "/etc/rollcall/page/page.yml",
		"ROLLCALL_PAGE_TRUSTED_PROXIES": "10.1.0.0/16,fd00::/8", "ROLLCALL_PAGE_USER_HEADER": "X-Forwarded-User",
		"ROLLCALL_PAGE_SEVERAL": "3", "ROLLCALL_PAGE_SERVICE_ACCOUNTS": "svc-*",
		"NATS_URL": "tls://nats-0.nats:4222,tls://nats-1.nats:4222", "NATS_INBOX_PREFIX": "_INBOX_page",
		"NATS_CREDS": "/etc/rollcall/nats/user.creds", "NATS_NKEY": "/etc/rollcall/nats/seed",
		"NATS_USER": "page-login/user", "NATS_PASSWORD": "page-login/password", "NATS_TOKEN": "page-login/token",
		"NATS_CA": "/etc/rollcall/tls/ca.crt", "NATS_CERT": "/etc/rollcall/tls/tls.crt", "NATS_KEY": "/etc/rollcall/tls/tls.key",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	known := regexp.MustCompile(`(?m)^  ([A-Z_]+) `).FindAllStringSubmatch(program.Output(t, program.Rollcall(t), "web", "--help"), -1)
	for name := range want {
		if !slices.ContainsFunc(known, func(k []string) bool { return k[1] == name }) {
			t.Errorf("web --help does not list %s", name)
		}
	}
	want = map[string]string{
		"ROLLCALL_PAGE_ADDR": ":8088", "ROLLCALL_PAGE_CONFIG_FILE": "/etc/rollcall/page/page.yml", "NATS_URL": "tls://nats.example.com",
		"NATS_CREDS": "/etc/rollcall/enrolled/nats.creds", "NATS_CA": "/etc/rollcall/enrolled/ca.pem", "NATS_INBOX_PREFIX": "_INBOX_{{subject()}}",
	}
	if got := variables(page); !maps.Equal(got, want) {
		t.Errorf("enrolled: %v, want %v", got, want)
	}
	// The authority of rollcall enroll replaces the one of the service.
	both := variables("{nats: {tls: {secret: certificates}}, web: {enabled: true, configSecret: a, nats: {enrolled: {secret: b}}}}")
	if both["NATS_CA"] != "/etc/rollcall/enrolled/ca.pem" {
		t.Errorf("with certificates of the service, too: %v", both)
	}
}

// TestWebProbes: the page answers the probes with the variables of the pod, whatever is in its
// configuration file; while NATS is away, too.
func TestWebProbes(t *testing.T) {
	c := containerOf(t, read(t, page).WebDeployment.Spec.Template.Spec)
	file := filepath.Join(t.TempDir(), "page.yml")
	program.Output(t, program.Rollcall(t), "web", "--add-user", "ada", file)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	variables := []string{"NATS_URL=nats://127.0.0.1:1"}
	for name := range environmentOf(t, c) {
		switch name {
		case "ROLLCALL_PAGE_ADDR":
			variables = append(variables, name+"=0.0.0.0:"+port)
		case "ROLLCALL_PAGE_CONFIG_FILE":
			variables = append(variables, name+"="+file)
		}
	}
	p := program.Start(t, variables, program.Rollcall(t), c.Args...)
	p.AwaitLog(`"msg":"page"`)
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
		command := probe.Exec.Command
		if command[0] != "/rollcall" {
			t.Fatalf("%q", command)
		}
		check := program.Start(t, variables, program.Rollcall(t), command[1:]...)
		if err := check.Wait(); err != nil || !strings.HasSuffix(check.Log(), "/livez: ok\n") {
			t.Errorf("%q: %v: %s", command, err, check.Log())
		}
	}
}

// TestWebNotes: the notes say how to see the page.
func TestWebNotes(t *testing.T) {
	if notes := read(t, page).notes; !strings.Contains(notes, "port-forward service/logins-rollcall-web 8088:8088") {
		t.Error(notes)
	}
	if notes := read(t, plain).notes; strings.Contains(notes, "port-forward") {
		t.Error(notes)
	}
}

// TestWebREADME: with the README's commands, the page has the files that rollcall enroll and
// rollcall web make.
func TestWebREADME(t *testing.T) {
	set, secrets := installs(t, "The page")
	dir := t.TempDir()
	program.Output(t, program.Rollcall(t), "enroll", "--init", filepath.Join(dir, "enrolled"), "--url", "nats://127.0.0.1:1")
	program.Output(t, program.Rollcall(t), "web", "--add-user", "ada", filepath.Join(dir, "page.yml"))
	o := rendered(t, set)
	for _, v := range o.WebDeployment.Spec.Template.Spec.Volumes {
		from, made := secrets[v.Secret.SecretName]
		if !made {
			t.Errorf("no Secret %s is made", v.Secret.SecretName)
		}
		for _, item := range v.Secret.Items {
			// With --ca there is a ca.pem, too.
			if _, err := os.Stat(filepath.Join(dir, from, item.Key)); err != nil && item.Key != "ca.pem" {
				t.Errorf("the Secret %s: %v", v.Secret.SecretName, err)
			}
		}
	}
	if len(secrets) != 2 || secrets[set["web"].(map[string]any)["configSecret"].(string)] != "page.yml" {
		t.Errorf("%v, %v", set, secrets)
	}
	if got := environmentOf(t, containerOf(t, o.WebDeployment.Spec.Template.Spec))["ROLLCALL_PAGE_HOSTS"]; got != "rollcall.example.com" {
		t.Errorf("the page is called %s", got)
	}
}
