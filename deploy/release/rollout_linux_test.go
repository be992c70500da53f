package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/test/machine"
)

// play is what a playbook of Ansible may have here. As it lists the keys, a misspelt one is
// an error.
type play struct {
	Hosts string
	Tasks []struct {
		Copy *struct{ Src, Dest, Mode string }
		Apt  *struct{ Deb string }
	}
}

// decodeStrictly decodes YAML, in which unknown keys are errors.
func (g *guide) decodeStrictly(text string, into any) {
	g.t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		g.t.Fatalf("%v in\n%s", err, text)
	}
}

var fileglob = regexp.MustCompile(`^\{\{ lookup\('fileglob', '(.+)'\) \}\}$`)

// ansible runs the section's block, and carries out the tasks of its playbook on the machines
// of its inventory.
func (g *guide) ansible() {
	g.t.Helper()
	b := g.section("By Ansible")[0]
	b.commands = `ansible-playbook() { [ "$*" = "--inventory machines.txt --user root agents.yml" ]; }` + "\n" + b.commands
	g.run(b)
	var plays []play
	g.decodeStrictly(g.operator.Run("cat", checkout+"/agents.yml"), &plays)
	all := map[string]*machine.Machine{"web1": g.web1, "web2": g.web2}
	for name := range strings.FieldsSeq(g.operator.Run("cat", checkout+"/machines.txt")) {
		for _, task := range plays[0].Tasks {
			if task.Apt != nil {
				all[name].Run("apt-get", "install", "--yes", task.Apt.Deb)
				continue
			}
			from := strings.ReplaceAll(task.Copy.Src, "{{ inventory_hostname }}", name)
			if found := fileglob.FindStringSubmatch(from); found != nil {
				from = strings.TrimSpace(g.operator.Run("bash", "-c", "cd "+checkout+" && echo "+found[1]))
			}
			g.copyTree(from, all[name], task.Copy.Dest, task.Copy.Mode)
		}
	}
}

// copyTree copies a file of the operator's, or the files of a folder, to a machine, as
// Ansible's module copy does.
func (g *guide) copyTree(from string, to *machine.Machine, dest, mode string) {
	g.t.Helper()
	list := []string{from}
	if strings.HasSuffix(from, "/") {
		list = strings.Fields(g.operator.Run("bash", "-c", "cd "+checkout+" && ls -d "+from+"*"))
	}
	bits, err := strconv.ParseUint("0"+mode, 8, 32)
	if err != nil {
		g.t.Fatal(err)
	}
	if mode == "" {
		bits = 0o644
	}
	for _, file := range list {
		target := dest
		if strings.HasSuffix(dest, "/") {
			target += path.Base(file)
		}
		to.Write(target, os.FileMode(bits), []byte(g.operator.Run("cat", path.Join(checkout, file))))
	}
}

// userData is what the user data for cloud-init may have here.
type userData struct {
	WriteFiles []struct{ Path, Permissions, Encoding, Content string } `yaml:"write_files"`
	RunCmd     []string                                                `yaml:"runcmd"`
}

// cloudInit boots a machine from an image that has the package, so to speak: it carries out
// the section's user data on it.
func (g *guide) cloudInit(m *machine.Machine) {
	g.t.Helper()
	m.Run("bash", "-c", "apt-get install --yes /var/cache/rollcall-agent*.deb")
	g.run(g.section("By cloud-init")[0])
	text := g.operator.Run("cat", checkout+"/web3.yaml")
	if !strings.HasPrefix(text, "#cloud-config\n") {
		g.t.Errorf("cloud-init would not read\n%s", text)
	}
	var data userData
	g.decodeStrictly(text, &data)
	for _, f := range data.WriteFiles {
		content, err := base64.StdEncoding.DecodeString(f.Content)
		if err != nil || f.Encoding != "b64" || bytes.IndexByte(content, 0) < 0 {
			g.t.Fatalf("%s: %v", f.Path, err)
		}
		bits, err := strconv.ParseUint(f.Permissions, 8, 32)
		if err != nil {
			g.t.Fatal(err)
		}
		m.Write(f.Path, os.FileMode(bits), content)
	}
	for _, command := range data.RunCmd {
		m.Run("sh", "-c", command)
	}
}
