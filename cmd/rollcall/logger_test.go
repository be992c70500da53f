package main

import (
	"log/slog"
	"strings"
	"testing"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/test/kit"
)

func TestLogger(t *testing.T) {
	for _, test := range []struct {
		format, level string
		want          string
	}{
		{"", "info", `"msg":"heard"`},
		{"json", "debug", `"msg":"heard"`},
		{"text", "info", "msg=heard"},
		{"text", "error", ""},
	} {
		kit.Environment(t, map[string]string{"ROLLCALL_LOG_FORMAT": test.format, "ROLLCALL_LOG_LEVEL": test.level})
		cfg, err := config.ReadServe(httpd.CheckWebConfig)
		if err != nil {
			t.Fatal(err)
		}
		var out kit.Output
		slog.New(newHandler(&out, &cfg.Logs)).Info("heard")
		if got := out.String(); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%+v: %q", test, got)
		}
	}
}
