package publishers

import (
	"path/filepath"
	"regexp"
	"testing"

	"rollcall/deploy/internal/program"
)

// TestMQTT: the events of a device whose name has dots, which arrive as slashes, are
// accepted and found in the history; the device cannot publish for another machine.
func TestMQTT(t *testing.T) {
	need(t, "mosquitto_pub", "mosquitto-clients")
	folder := install(t, []string{"event.awk", "mqtt/rollcall-mqtt", "mqtt/nats-server.conf"},
		"127.0.0.1:4222", "127.0.0.1:-1", "127.0.0.1:1883", "127.0.0.1:-1", "/var/lib/nats", t.TempDir())
	server := program.Start(t, []string{"ROLLCALL_PASSWORD=one", "DOOR_PASSWORD=two"},
		program.Build(t, "github.com/nats-io/nats-server/v2"), "-c", filepath.Join(folder, "nats-server.conf"))
	server.AwaitLog("Server is ready")
	port := func(what string) string {
		return regexp.MustCompile(what + `\S* on \S*127\.0\.0\.1:(\d+)`).FindStringSubmatch(server.Log())[1]
	}
	s := serve(t, "NATS_URL=nats://127.0.0.1:"+port("client connection"), "NATS_USER=rollcall", "NATS_PASSWORD=one")

	variables := []string{"MQTT_PORT=" + port("MQTT client"), "MQTT_USER=door.example.com", "MQTT_PASSWORD=two"}
	device := func(name string, args ...string) {
		run(t, append(variables, "MACHINE="+name), filepath.Join(folder, "rollcall-mqtt"), args...)
	}
	device("door.example.com", "login", `O"Brien\`)
	device("door.example.com", "login", "lane")
	device("other.example.com", "login", "mallory") // not permitted, which MQTT does not report
	device("door.example.com", "logout", "lane")
	s.await("door.example.com: O\"Brien\\\n")
	has(t, s.ask("history", "--machine", "door.example.com"), "lane", "logout")
	s.accepted("3")
}
