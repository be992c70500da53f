package kit

import (
	"os"
	"strings"
	"testing"
)

// Environment sets these variables until the test ends, and unsets all other NATS_ and
// ROLLCALL_ variables.
func Environment(t testing.TB, set map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "ROLLCALL_") || strings.HasPrefix(name, "NATS_") {
			t.Setenv(name, value) // restores it when the test ends
			os.Unsetenv(name)
		}
	}
	for name, value := range set {
		t.Setenv(name, value)
	}
}

// Only returns the environment of a process that has these variables alone, and the
// settings of the race detector, which concern no test.
func Only(variables ...string) []string {
	if race, ok := os.LookupEnv("GORACE"); ok {
		variables = append(variables, "GORACE="+race)
	}
	return variables
}
