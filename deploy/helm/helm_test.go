// Package helm tests the chart with Helm itself, the types of Kubernetes and the real
// rollcall.
package helm

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }

// plain are the values of somebody who changes nothing; enrolled are those with credentials of
// rollcall enroll; full sets all other values.
const (
	plain    = ""
	enrolled = "nats: {url: tls://nats.example.com, enrolled: {secret: rollcall-nats}}"
	// page adds the page, with what rollcall enroll made and users; its own values are all set
	// in full.
	page = "{nats: {url: tls://nats.example.com, enrolled: {secret: rollcall-nats}}, web: {enabled: true, configSecret: page-users, nats: {enrolled: {secret: rollcall-page}}}}"
	full = `
replicas: 3
image: {repository: registry.example.com/rollcall, digest: "sha256:0123456789012345678901234567890123456789012345678901234567890123"}
imagePullSecrets: [{name: registry}]
nats:
  url: tls://nats-0.nats:4222,tls://nats-1.nats:4222
  inboxPrefix: _INBOX_rollcall
  auth: {secret: nats, credsKey: user.creds, nkeyKey: seed, userKey: user, passwordKey: password, tokenKey: token}
  tls: {secret: certificates, certKey: tls.crt, keyKey: tls.key}
config: {ROLLCALL_STREAM_REPLICAS: "3", ROLLCALL_SILENT_AFTER: 1h}
persistence: {size: 50Gi, storageClass: fast, accessModes: [ReadWriteOncePod]}
resources: {requests: {cpu: "1", memory: 2Gi}, limits: {memory: 4Gi}}
probes: {startupFailureThreshold: 6}
service: {port: 80, annotations: {a: b}}
serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 15s, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
web:
  enabled: true
  replicas: 2
  hosts: [rollcall.example.com, 10.0.0.5]
  configSecret: page-users
  proxy: {trusted: [10.1.0.0/16, "fd00::/8"], userHeader: X-Forwarded-User}
  nats:
    inboxPrefix: _INBOX_page
    auth: {secret: page-login, credsKey: user.creds, nkeyKey: seed, userKey: user, passwordKey: password, tokenKey: token}
  config: {ROLLCALL_PAGE_SEVERAL: "3", ROLLCALL_PAGE_SERVICE_ACCOUNTS: "svc-*"}
  resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 2Gi}}
  service: {port: 80, annotations: {c: d}}
networkPolicy:
  viewers: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  scrapers: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  nats: [{podSelector: {matchLabels: {app.kubernetes.io/name: nats}}}]
  natsPorts: [4222, 4223]
serviceAccount: {annotations: {a: b}}
podAnnotations: {a: b}
podLabels: {team: logins}
nodeSelector: {kubernetes.io/arch: amd64}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: important
terminationGracePeriodSeconds: 120
`
)

// values parses a values file.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// render renders the chart, as helm template does.
func render(t *testing.T, text string) (*release.Release, error) {
	t.Helper()
	chart, err := loader.Load("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	kube, err := common.ParseKubeVersion("v1.34.0")
	if err != nil {
		t.Fatal(err)
	}
	install.KubeVersion = kube
	install.ReleaseName, install.Namespace = "logins", "fleet"
	made, err := install.RunWithContext(t.Context(), chart, values(t, text))
	if err != nil {
		return nil, err
	}
	return made.(*release.Release), nil
}

// objects are the objects of the chart, and its notes.
type objects struct {
	ServiceAccount      *corev1.ServiceAccount
	Service             *corev1.Service
	StatefulSet         *appsv1.StatefulSet
	NetworkPolicy       *networkingv1.NetworkPolicy
	PodDisruptionBudget *policyv1.PodDisruptionBudget
	ServiceMonitor      *monitoringv1.ServiceMonitor
	PrometheusRule      *monitoringv1.PrometheusRule
	// Of the page.
	WebDeployment    *appsv1.Deployment
	WebService       *corev1.Service
	WebNetworkPolicy *networkingv1.NetworkPolicy
	notes            string
}

// read renders the chart and parses its objects strictly: an unexpected or repeated kind,
// and a repeated key or one that Kubernetes does not know, fail the test.
func read(t *testing.T, text string) *objects {
	t.Helper()
	made, err := render(t, text)
	if err != nil {
		t.Fatal(err)
	}
	all := &objects{notes: made.Info.Notes}
	for document := range strings.SplitSeq(strings.TrimPrefix(made.Manifest, "---\n"), "\n---\n") {
		text, err := yaml.YAMLToJSONStrict([]byte(document))
		if err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		var head struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := json.UnmarshalCaseSensitivePreserveInts(text, &head); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(head.Metadata.Name, "-web") {
			head.Kind = "Web" + head.Kind
		}
		field := reflect.ValueOf(all).Elem().FieldByName(head.Kind)
		if !field.IsValid() || !field.IsNil() {
			t.Fatalf("unexpected or repeated kind %q:\n%s", head.Kind, document)
		}
		field.Set(reflect.New(field.Type().Elem()))
		if unknown, err := json.UnmarshalStrict(text, field.Interface()); err != nil || len(unknown) > 0 {
			t.Fatalf("%s: %v %v\n%s", head.Kind, err, unknown, document)
		}
	}
	return all
}

// container returns the only container of the service's pod.
func (o *objects) container(t *testing.T) corev1.Container {
	t.Helper()
	return containerOf(t, o.StatefulSet.Spec.Template.Spec)
}

func containerOf(t *testing.T, spec corev1.PodSpec) corev1.Container {
	t.Helper()
	if len(spec.Containers) != 1 || len(spec.InitContainers) != 0 {
		t.Fatalf("%d containers and %d init containers, want one and none", len(spec.Containers), len(spec.InitContainers))
	}
	return spec.Containers[0]
}

func TestLint(t *testing.T) {
	for name, text := range map[string]string{"plain": plain, "enrolled": enrolled, "page": page, "full": full} {
		lint := action.NewLint()
		lint.Strict = true
		result := lint.Run([]string{"rollcall"}, values(t, text))
		for _, message := range result.Messages {
			// The chart has no icon.
			if !strings.Contains(message.Err.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, message)
			}
		}
		if result.TotalChartsLinted != 1 {
			t.Errorf("%s: %d charts: %v", name, result.TotalChartsLinted, result.Errors)
		}
	}
}

func TestOptionalObjects(t *testing.T) {
	o := read(t, plain)
	if o.WebDeployment != nil || o.WebService != nil || o.WebNetworkPolicy != nil || o.ServiceMonitor != nil || o.PrometheusRule != nil || o.NetworkPolicy == nil || o.ServiceAccount == nil {
		t.Errorf("%+v", o)
	}
	if read(t, "networkPolicy: {enabled: false}").NetworkPolicy != nil {
		t.Error("a NetworkPolicy, although it is disabled")
	}
	if !strings.Contains(o.notes, "without credentials") || !strings.Contains(o.notes, "prometheusRule.enabled") {
		t.Errorf("the notes lack warnings:\n%s", o.notes)
	}
	if notes := read(t, enrolled).notes; strings.Contains(notes, "WARNING") {
		t.Errorf("the notes have warnings that do not apply:\n%s", notes)
	}
	if notes := read(t, full).notes; strings.Contains(notes, "WARNING") || strings.Contains(notes, "Enabled") {
		t.Errorf("the notes have warnings that do not apply:\n%s", notes)
	}
}

// TestReplicas: each pod has a volume of its own, and several stand by for each other, on
// several nodes, of which one at a time is drained.
func TestReplicas(t *testing.T) {
	for text, want := range map[string]int32{plain: 2, enrolled: 2, full: 3, "replicas: 1": 1} {
		o := read(t, text)
		set := o.StatefulSet.Spec
		if *set.Replicas != want || set.ServiceName != o.Service.Name || set.PodManagementPolicy != appsv1.ParallelPodManagement {
			t.Errorf("%d replicas behind %s, %s; want %d", *set.Replicas, set.ServiceName, set.PodManagementPolicy, want)
		}
		if len(set.VolumeClaimTemplates) != 1 || set.VolumeClaimTemplates[0].Name != "data" {
			t.Errorf("%+v, want one volume", set.VolumeClaimTemplates)
		}
		mounts := o.container(t).VolumeMounts
		if i := slices.IndexFunc(mounts, func(m corev1.VolumeMount) bool { return m.Name == "data" }); i < 0 || mounts[i].MountPath != environment(t, o)["ROLLCALL_DATA_DIR"] {
			t.Errorf("%+v, want the volume where the data goes", mounts)
		}
		standby, spread, budget := environment(t, o)["ROLLCALL_STANDBY"], set.Template.Spec.TopologySpreadConstraints, o.PodDisruptionBudget
		if want == 1 {
			if standby != "" || len(spread) > 0 || budget != nil {
				t.Errorf("one pod: standby %q, %v, %v", standby, spread, budget)
			}
			continue
		}
		if standby != "true" || len(spread) != 1 || spread[0].TopologyKey != corev1.LabelHostname || budget == nil || budget.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("%d pods: standby %q, %+v, %+v", want, standby, spread, budget)
			continue
		}
		labels := set.Template.Labels
		for _, selector := range []*metav1.LabelSelector{spread[0].LabelSelector, budget.Spec.Selector} {
			if len(selector.MatchLabels) == 0 {
				t.Error("a selector selects every pod")
			}
			for key, value := range selector.MatchLabels {
				if labels[key] != value {
					t.Errorf("%s=%s is selected; the pods have %q", key, value, labels[key])
				}
			}
		}
	}
}

// TestRestricted: the pod complies with the Pod Security Standard "restricted", and has no
// other privileges that it does not need.
func TestRestricted(t *testing.T) {
	for _, text := range []string{plain, enrolled, page, full} {
		o := read(t, text)
		wantRestricted(t, o, o.StatefulSet.Spec.Template.Spec)
		if o.WebDeployment != nil {
			wantRestricted(t, o, o.WebDeployment.Spec.Template.Spec)
		}
	}
}

func wantRestricted(t *testing.T, o *objects, pod corev1.PodSpec) {
	t.Helper()
	c := containerOf(t, pod)
	switch {
	case !*pod.SecurityContext.RunAsNonRoot, *pod.SecurityContext.RunAsUser == 0,
		pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault,
		*c.SecurityContext.AllowPrivilegeEscalation, !*c.SecurityContext.ReadOnlyRootFilesystem,
		!slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}), len(c.SecurityContext.Capabilities.Add) > 0,
		*pod.EnableServiceLinks, *pod.AutomountServiceAccountToken, *o.ServiceAccount.AutomountServiceAccountToken,
		pod.HostNetwork, pod.HostPID, pod.HostIPC:
		t.Errorf("%+v\n%+v", pod, c)
	}
	for _, v := range pod.Volumes {
		if v.Secret == nil || *v.Secret.DefaultMode&0o007 != 0 {
			t.Errorf("%+v, want a Secret that only the group can read", v)
		}
	}
	if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%+v, want memory requests and limits", c.Resources)
	}
}

// TestSelectors: all selectors match the labels of the pod, and all ports are its ports.
func TestSelectors(t *testing.T) {
	o := read(t, full)
	labels := o.StatefulSet.Spec.Template.Labels
	for name, selector := range map[string]map[string]string{
		"StatefulSet": o.StatefulSet.Spec.Selector.MatchLabels, "Service": o.Service.Spec.Selector,
		"NetworkPolicy": o.NetworkPolicy.Spec.PodSelector.MatchLabels,
	} {
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s selects %s=%s; the pod has %q", name, key, value, labels[key])
			}
		}
		if len(selector) == 0 {
			t.Errorf("%s selects every pod", name)
		}
	}
	for key, value := range o.ServiceMonitor.Spec.Selector.MatchLabels {
		if o.Service.Labels[key] != value {
			t.Errorf("the ServiceMonitor selects %s=%s; the Service has %q", key, value, o.Service.Labels[key])
		}
	}
	port := o.container(t).Ports[0].Name
	for what, got := range map[string]string{
		"Service": o.Service.Spec.Ports[0].TargetPort.String(), "ServiceMonitor": o.ServiceMonitor.Spec.Endpoints[0].Port,
		"NetworkPolicy": o.NetworkPolicy.Spec.Ingress[0].Ports[0].Port.String(),
	} {
		if got != port {
			t.Errorf("%s: port %s, want %s", what, got, port)
		}
	}
}

// environment returns the variables of the service's container by name; the value of one from
// a Secret is "<secret>/<key>".
func environment(t *testing.T, o *objects) map[string]string {
	t.Helper()
	return environmentOf(t, o.container(t))
}

func environmentOf(t *testing.T, c corev1.Container) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, v := range c.Env {
		if _, twice := all[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		all[v.Name] = v.Value
		if v.ValueFrom != nil {
			all[v.Name] = v.ValueFrom.SecretKeyRef.Name + "/" + v.ValueFrom.SecretKeyRef.Key
		}
	}
	return all
}

func TestEnvironment(t *testing.T) {
	got := environment(t, read(t, full))
	want := map[string]string{
		"ROLLCALL_DATA_DIR": "/data", "ROLLCALL_STANDBY": "true", "ROLLCALL_HTTP_ADDR": ":8080",
		"NATS_URL": "tls://nats-0.nats:4222,tls://nats-1.nats:4222", "NATS_INBOX_PREFIX": "_INBOX_rollcall",
		"NATS_CREDS": "/etc/rollcall/nats/user.creds", "NATS_NKEY": "/etc/rollcall/nats/seed",
		"NATS_USER": "nats/user", "NATS_PASSWORD": "nats/password", "NATS_TOKEN": "nats/token",
		"NATS_CA": "/etc/rollcall/tls/ca.crt", "NATS_CERT": "/etc/rollcall/tls/tls.crt", "NATS_KEY": "/etc/rollcall/tls/tls.key",
		"ROLLCALL_STREAM_REPLICAS": "3", "ROLLCALL_SILENT_AFTER": "1h",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := environment(t, read(t, plain)); len(got) != 4 || got["NATS_URL"] != "nats://nats:4222" {
		t.Errorf("%v", got)
	}
	known := regexp.MustCompile(`(?m)^  ([A-Z_]+) `).FindAllStringSubmatch(program.Output(t, program.Rollcall(t), "serve", "--help"), -1)
	for name := range want {
		if !slices.ContainsFunc(known, func(k []string) bool { return k[1] == name }) {
			t.Errorf("serve --help does not list %s", name)
		}
	}
}

// TestFiles: the files that variables name are mounted.
func TestFiles(t *testing.T) {
	for _, text := range []string{enrolled, page, full} {
		o := read(t, text)
		checkFiles(t, o.StatefulSet.Spec.Template.Spec)
		if o.WebDeployment != nil {
			checkFiles(t, o.WebDeployment.Spec.Template.Spec)
		}
	}
}

func checkFiles(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	files := map[string]bool{}
	c := containerOf(t, pod)
	for _, m := range c.VolumeMounts {
		for _, v := range pod.Volumes {
			if v.Name == m.Name && v.Name == "page" { // the whole Secret
				files[m.MountPath+"/page.yml"] = m.ReadOnly
			}
			for i := 0; v.Name == m.Name && i < len(v.Secret.Items); i++ {
				files[m.MountPath+"/"+v.Secret.Items[i].Path] = m.ReadOnly
			}
		}
	}
	for name, value := range environmentOf(t, c) {
		if strings.HasPrefix(value, "/etc/") && !files[value] {
			t.Errorf("%s is %s, which is not mounted read-only: %v", name, value, files)
		}
	}
}

// TestProbes: the service answers the probes' paths, and a probe that can kill the pod
// does not wait for a replay.
func TestProbes(t *testing.T) {
	c := read(t, plain).container(t)
	s := program.Serve(t)
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if body := s.Get(probe.HTTPGet.Path); body != "ok\n" {
			t.Errorf("%s answers %q", probe.HTTPGet.Path, body)
		}
		if probe.HTTPGet.Port.String() != c.Ports[0].Name {
			t.Errorf("port %s, want %s", probe.HTTPGet.Port.String(), c.Ports[0].Name)
		}
	}
	if c.StartupProbe.HTTPGet.Path != "/livez" || c.LivenessProbe.HTTPGet.Path != "/livez" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Error("a long replay would be killed, or shown as ready")
	}
}

// TestRules: the chart's rules equal those of deploy/prometheus.
func TestRules(t *testing.T) {
	var want []monitoringv1.RuleGroup
	for _, name := range []string{"rules.yml", "alerts.yml"} {
		ours, err := os.ReadFile(filepath.Join("rollcall/files", name))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.ReadFile(filepath.Join("../prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Errorf("differ: cp deploy/prometheus/%s deploy/helm/rollcall/files/", name)
		}
		var spec monitoringv1.PrometheusRuleSpec
		if err := yaml.UnmarshalStrict(theirs, &spec); err != nil {
			t.Fatal(err)
		}
		want = append(want, spec.Groups...)
	}
	if got := read(t, full).PrometheusRule.Spec.Groups; len(got) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d groups differ from the %d wanted", len(got), len(want))
	}
	relabelings := read(t, full).ServiceMonitor.Spec.Endpoints[0].RelabelConfigs
	if len(relabelings) != 1 || relabelings[0].TargetLabel != "job" || *relabelings[0].Replacement != "rollcall" {
		t.Errorf("%+v, want the job that the alerts select", relabelings)
	}
}

// TestBadValues: invalid values are refused before anything is installed.
func TestBadValues(t *testing.T) {
	for text, says := range map[string]string{
		"imag: {}":                                     "imag",
		"nats: {url: nats}":                            "url",
		"nats: {auth: {credsKey: user.creds}}":         "secret",
		"nats: {auth: {secret: nats, passwordKey: p}}": "userKey",
		"nats: {enrolled: {secret: a}, auth: {secret: nats, credsKey: b}}": "auth",
		"nats: {enrolled: {secret: a}, tls: {secret: b}}":                  "tls",
		"nats: {enrolled: {secret: a, ca: certificates}}":                  "ca",
		"nats: {tls: {secret: c, certKey: tls.crt}}":                       "keyKey",
		"config: {ROLLCALL_DATA_DIR: /tmp}":                                "ROLLCALL_DATA_DIR",
		"config: {ROLLCALL_STANDBY: 'false'}":                              "ROLLCALL_STANDBY",
		"replicas: 0":                                                      "replicas",
		"config: {LD_PRELOAD: x}":                                          "LD_PRELOAD",
		"config: {ROLLCALL_STREAM_REPLICAS: 3}":                            "ROLLCALL_STREAM_REPLICAS",
		"persistence: {accessModes: [ReadWriteMany]}":                      "accessModes",
		"image: {digest: latest}":                                          "digest",
		"web: {enabled: true}":                                             "web.configSecret",
		"web: {enabled: true, hosts: [https://a]}":                         "hosts",
		"web: {proxy: {trusted: [10.0.0.7]}}":                              "userHeader",
		"web: {proxy: {userHeader: X-User}}":                               "userHeader",
		"web: {proxy: {trusted: [proxy], userHeader: X-User}}":             "trusted",
		"web: {config: {ROLLCALL_PAGE_ADDR: ':1'}}":                        "ROLLCALL_PAGE_ADDR",
		"web: {replicas: 0}":                                               "replicas",
		"web: {nats: {auth: {credsKey: user.creds}}}":                      "secret",
		"web: {nats: {enrolled: {secret: a}, auth: {secret: b}}}":          "auth",
		"serviceMonitor: {interval: 30}":                                   "interval",
		"networkPolicy: {natsPorts: []}":                                   "natsPorts",
	} {
		if _, err := render(t, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that names %s", text, err, says)
		}
	}
}
