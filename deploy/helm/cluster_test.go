package helm

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"sigs.k8s.io/yaml"

	"rollcall/deploy/internal/program"
)

// TestClusterValues: values-cluster.yaml, with the README's commands, is valid, says that two pods
// stand by for each other, keeps the pod restricted, names the same servers as what rollcall enroll
// makes, and the pods to keep away from.
func TestClusterValues(t *testing.T) {
	text, err := os.ReadFile("rollcall/values-cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lint := action.NewLint()
	lint.Strict = true
	for _, message := range lint.Run([]string{"rollcall"}, values(t, string(text))).Messages {
		if !strings.Contains(message.Err.Error(), "icon is recommended") {
			t.Error(message)
		}
	}
	set, secrets := installs(t, "With a cluster of NATS servers")
	more, err := yaml.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	o := read(t, string(text)+string(more))
	wantRestricted(t, o, o.StatefulSet.Spec.Template.Spec)
	checkFiles(t, o.StatefulSet.Spec.Template.Spec)
	if said := values(t, string(text))["replicas"]; fmt.Sprint(said) != "2" || *o.StatefulSet.Spec.Replicas != 2 || environment(t, o)["ROLLCALL_STANDBY"] != "true" || o.PodDisruptionBudget == nil {
		t.Errorf("replicas: %v; %+v, %q, %+v: want two that stand by for each other", said, o.StatefulSet.Spec.Replicas, environment(t, o)["ROLLCALL_STANDBY"], o.PodDisruptionBudget)
	}
	if strings.Contains(o.notes, "WARNING") {
		t.Errorf("the notes have warnings that do not apply:\n%s", o.notes)
	}

	readme, err := os.ReadFile("rollcall/README.md")
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`enroll --init enrolled --url (\S+,\S+) `).FindStringSubmatch(string(readme))
	if url == nil {
		t.Fatal("the README does not enroll with several servers")
	}
	dir := t.TempDir()
	program.Output(t, program.Rollcall(t), "enroll", "--init", filepath.Join(dir, "enrolled"), "--url", url[1])
	env, err := os.ReadFile(filepath.Join(dir, secrets["rollcall-nats"], "rollcall.env"))
	if err != nil {
		t.Fatal(err)
	}
	if got := environment(t, o)["NATS_URL"]; strings.Count(got, "tls://") != 3 || !strings.Contains(string(env), "NATS_URL="+got+"\n") {
		t.Errorf("NATS_URL is %q, rollcall enroll wrote\n%s", got, env)
	}

	withPage := read(t, page)
	var away []string
	for _, term := range o.StatefulSet.Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		away = append(away, term.PodAffinityTerm.LabelSelector.MatchLabels["app.kubernetes.io/name"])
	}
	if want := []string{"nats", withPage.WebDeployment.Spec.Template.Labels["app.kubernetes.io/name"]}; !slices.Equal(away, want) {
		t.Errorf("the pods keep away from %q, want %q", away, want)
	}
}
