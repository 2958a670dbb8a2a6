package demo

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		method, target string
		status         int
		mediaType      string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", 200, "text/html; charset=utf-8"},
		{"GET", "/?room=x", 200, "text/html; charset=utf-8"},
		{"GET", "/hawser.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/demo.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/demo.css", 200, "text/css; charset=utf-8"},
		{"GET", "/favicon.svg", 200, "image/svg+xml"},
		{"POST", "/", 405, ""},
		{"GET", "/index.html", 404, ""}, // one address for one page
		{"GET", "/assets/demo.js", 404, ""},
		{"GET", "/../demo.go", 404, ""},
		{"GET", "/nothing", 404, ""},
	} {
		got := get(t, tt.method, tt.target, nil)
		if got.StatusCode != tt.status {
			t.Errorf("%s %s: got status %d, want %d", tt.method, tt.target, got.StatusCode, tt.status)
		}
		if mt := got.Header.Get("Content-Type"); tt.mediaType != "" && mt != tt.mediaType {
			t.Errorf("%s %s: got type %q, want %q", tt.method, tt.target, mt, tt.mediaType)
		}
	}
}

func TestRevalidation(t *testing.T) {
	first := get(t, "GET", "/demo.js", nil)
	etag := first.Header.Get("ETag")
	if cc := first.Header.Get("Cache-Control"); etag == "" || cc != "no-cache" {
		t.Fatalf("got ETag %q, Cache-Control %q, want an ETag and no-cache", etag, cc)
	}
	again := get(t, "GET", "/demo.js", http.Header{"If-None-Match": {etag}})
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("same ETag: got status %d, want 304", again.StatusCode)
	}
}

// TestPolicy holds the page to its own policy: the policy is strict, and no
// file needs what it forbids.
func TestPolicy(t *testing.T) {
	csp := get(t, "GET", "/", nil).Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("got policy %q, want default-src 'none' and nothing unsafe", csp)
	}
	forbidden := regexp.MustCompile(`(?i)<script(>| [^>]*>[^<])|\son\w+=|\sstyle=|<style|javascript:|innerHTML|https?://(?:[^w]|w[^w])`)
	for name, a := range load() {
		if name == "/hawser.js" {
			continue // the SDK's docs may name addresses
		}
		if hit := forbidden.Find(a.body); hit != nil {
			t.Errorf("%s: holds %q, which the policy or the page's rules forbid", name, hit)
		}
	}
}

// TestReferences finds a file that the page names and nobody serves.
func TestReferences(t *testing.T) {
	assets := load()
	reference := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
	for name, a := range assets {
		for _, m := range reference.FindAllStringSubmatch(string(a.body), -1) {
			if target := "/" + m[1] + m[2]; assets[target].body == nil {
				t.Errorf("%s refers to %s, which is not served", name, target)
			}
		}
	}
}

func TestMediaTypes(t *testing.T) {
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if mediaTypes[path.Ext(e.Name())] == "" {
			t.Errorf("%s: no media type for %s: add it to mediaTypes", e.Name(), path.Ext(e.Name()))
		}
	}
}
