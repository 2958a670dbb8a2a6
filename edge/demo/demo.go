package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"hawser/edge/client/js"
)

// policy allows what the page needs and nothing else: own files, and a
// WebSocket to the own host, which 'self' covers (CSP3 §6.7.2.8).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed assets
var files embed.FS

// mediaTypes are set by hand: mime.TypeByExtension asks the host's tables,
// and X-Content-Type-Options makes browsers obey what we say.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// asset is one file of the page.
type asset struct {
	mediaType string
	etag      string
	body      []byte
}

// Handler serves the page at / and its files beside it. Any other path is
// 404, any method but GET and HEAD 405. It is safe for concurrent use.
func Handler() http.Handler {
	assets := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed: want GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		a.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.mediaType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// Names carry no version, so browsers must ask each time; the ETag makes
	// that a 304. A page and a script of two releases never mix.
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// load reads every embedded file. What can fail was decided at build time.
func load() map[string]asset {
	assets := map[string]asset{"/hawser.js": newAsset("hawser.js", js.Module)}
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(fmt.Sprintf("demo: embedded assets: %v", err))
	}
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(fmt.Sprintf("demo: embedded %s: %v", e.Name(), err))
		}
		assets["/"+e.Name()] = newAsset(e.Name(), body)
	}
	assets["/"] = assets["/index.html"]
	delete(assets, "/index.html")
	return assets
}

func newAsset(name string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{
		mediaType: mediaTypes[path.Ext(name)],
		etag:      `"` + hex.EncodeToString(sum[:12]) + `"`,
		body:      body,
	}
}
