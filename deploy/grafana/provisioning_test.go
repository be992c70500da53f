package grafana_test

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// dataSources and providers have the keys of Grafana's provisioning files that are used
// here; any other key is an error.
//
// https://grafana.com/docs/grafana/latest/administration/provisioning/
type dataSources struct {
	APIVersion  int `yaml:"apiVersion"`
	DataSources []struct {
		Name, UID, Type, Access, URL string
		IsDefault                    bool `yaml:"isDefault"`
		Editable                     bool
		JSONData                     struct {
			HTTPMethod   string `yaml:"httpMethod"`
			TimeInterval string `yaml:"timeInterval"`
		} `yaml:"jsonData"`
	} `yaml:"datasources"`
}

type providers struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name, Type      string
		AllowUIUpdates  bool `yaml:"allowUiUpdates"`
		DisableDeletion bool `yaml:"disableDeletion"`
		Options         struct{ Path string }
	}
}

func readStrictly(t *testing.T, path string, into any) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestProvisioning(t *testing.T) {
	var sources dataSources
	readStrictly(t, "provisioning/datasources/prometheus.yaml", &sources)
	var dashboards providers
	readStrictly(t, "provisioning/dashboards/rollcall.yaml", &dashboards)
	if sources.APIVersion != 1 || dashboards.APIVersion != 1 || len(sources.DataSources) != 1 || len(dashboards.Providers) != 1 {
		t.Fatalf("%+v\n%+v", sources, dashboards)
	}
	source, provider := sources.DataSources[0], dashboards.Providers[0]
	if source.Type != "prometheus" || source.URL != "$PROMETHEUS_URL" || source.Access != "proxy" {
		t.Errorf("the data source is %+v", source)
	}
	if provider.Type != "file" || provider.Options.Path != "$ROLLCALL_DASHBOARDS" {
		t.Errorf("the provider is %+v", provider)
	}
	var prometheus struct {
		Global struct {
			ScrapeInterval string `yaml:"scrape_interval"`
		}
	}
	text, err := os.ReadFile("../prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &prometheus); err != nil {
		t.Fatal(err)
	}
	if got, want := source.JSONData.TimeInterval, prometheus.Global.ScrapeInterval; got != want {
		t.Errorf("timeInterval is %s; Prometheus scrapes every %s", got, want)
	}
}
