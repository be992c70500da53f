package httpd

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed landing.html
var landingHTML string

var landingPage = template.Must(template.New("landing").Parse(landingHTML))

// landing is the page at /. It has no external resources, and its links are
// relative, so that it also works below a proxy's path.
func landing(version string) http.Handler {
	var page bytes.Buffer
	if err := landingPage.Execute(&page, version); err != nil {
		panic(err) // the template is ours
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.Bytes()) // the client may have disconnected
	})
}
