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

// landing is the page at /, without resources from elsewhere and with relative
// links, so that it works behind a proxy's path too.
func landing(version string) http.Handler {
	var page bytes.Buffer
	if err := landingPage.Execute(&page, version); err != nil {
		panic(err) // the template is ours
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.Bytes()) // the client may have gone
	})
}
