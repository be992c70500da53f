package web

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// assets are the files under /static/ by the names under which they are served: with a
// hash of their content, so that they never change.
var assets, assetURLs = readAssets()

var templates = template.Must(template.New("").Funcs(functions).Funcs(template.FuncMap{
	"asset": func(name string) string { return assetURLs[name] },
}).ParseFS(templateFiles, "templates/*.html"))

func readAssets() (map[string][]byte, map[string]string) {
	content, urls := map[string][]byte{}, map[string]string{}
	err := fs.WalkDir(staticFiles, "static", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := staticFiles.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		ext := path.Ext(file)
		served := "/" + strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:5]) + ext
		content[served], urls[path.Base(file)] = data, served
		return nil
	})
	if err != nil {
		panic(err) // the files are embedded
	}
	return content, urls
}

// Handler answers requests that were let in.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range []struct {
		path  string
		build builder
	}{
		{"/{$}", buildFleet},
		{"/machines", buildMachines},
		{"/machines/{name}", buildMachine},
		{"/users", buildUsers},
		{"/users/{name}", buildUser},
		{"/service", buildService},
		{"/find", buildFind},
		{"/", buildNothing},
	} {
		mux.HandleFunc("GET "+route.path, p.page(route.build))
	}
	mux.HandleFunc("GET /machines.csv", p.csv(machinesCSV))
	mux.HandleFunc("GET /users.csv", p.csv(usersCSV))
	mux.HandleFunc("GET /machines/{name}/sessions.csv", p.csv(sessionsCSV))
	mux.HandleFunc("GET /users/{name}/sessions.csv", p.csv(sessionsCSV))
	mux.HandleFunc("GET /machines/{name}/history.csv", p.csv(historyCSV))
	mux.HandleFunc("GET /users/{name}/history.csv", p.csv(historyCSV))
	mux.HandleFunc("GET /service/refused.csv", p.csv(refusedCSV))
	mux.HandleFunc("GET /service/unheard.csv", p.csv(unheardCSV))
	mux.HandleFunc("GET /tile", p.serveTile)
	mux.HandleFunc("GET /names", p.serveNames)
	mux.HandleFunc("GET /static/", serveAsset)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // the client may have gone
	})
	zipped := compressed(mux)
	outer := http.NewServeMux()
	outer.HandleFunc("GET /live", p.serveLive)
	outer.Handle("/", zipped)
	return outer
}

// buildNothing is the page of a path that there is not.
func buildNothing(_ *Page, r *request) (*content, error) {
	return &content{Title: "No such page", Template: "failed", Status: http.StatusNotFound, Data: map[string]any{
		"Error": "There is no page at this address.", "Back": "/", "Link": "To the fleet",
	}, Command: "rollcall --help"}, nil
}

func serveAsset(w http.ResponseWriter, req *http.Request) {
	data, ok := assets[req.URL.Path]
	if !ok {
		http.NotFound(w, req)
		return
	}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", types[path.Ext(req.URL.Path)])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data) // the client may have gone
}

var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// compressed compresses answers for clients that accept that. No answer has a secret
// beside what a client has sent.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		if !acceptsGzip(req) || req.Method == http.MethodHead {
			next.ServeHTTP(w, req)
			return
		}
		zip := zippers.Get().(*gzip.Writer)
		defer zippers.Put(zip)
		zip.Reset(w)
		z := &zipped{ResponseWriter: w, zip: zip}
		next.ServeHTTP(z, req)
		if z.begun && z.zipping {
			_ = zip.Close() // the client may have gone
		}
	})
}

// acceptsGzip reports whether a client accepts a compressed answer.
func acceptsGzip(req *http.Request) bool {
	for one := range strings.SplitSeq(req.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q := strings.TrimSpace(weight)
			return q == "" || strings.Trim(strings.TrimPrefix(q, "q="), "0.") != ""
		}
	}
	return false
}

// zipped is an answer that is compressed if it has a body.
type zipped struct {
	http.ResponseWriter
	zip            *gzip.Writer
	begun, zipping bool
}

// WriteHeader decides whether to compress: not a redirect.
func (z *zipped) WriteHeader(status int) {
	if !z.begun {
		z.begun = true
		if z.zipping = status < 300 || status >= 400; z.zipping {
			z.Header().Set("Content-Encoding", "gzip")
			z.Header().Del("Content-Length")
		}
	}
	z.ResponseWriter.WriteHeader(status)
}

// Write compresses.
func (z *zipped) Write(data []byte) (int, error) {
	if !z.begun {
		z.WriteHeader(http.StatusOK)
	}
	if !z.zipping {
		return z.ResponseWriter.Write(data)
	}
	return z.zip.Write(data)
}

// Unwrap is for [http.ResponseController].
func (z *zipped) Unwrap() http.ResponseWriter { return z.ResponseWriter }

// writeTime is how long one write to a client may take.
const writeTime = 20 * time.Second
