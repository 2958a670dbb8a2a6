package browser

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// chromiums are the names under which distributions install it.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Browser is one Chromium. One test owns it; calls are not concurrent.
type Browser struct {
	t       *testing.T
	in      io.WriteCloser
	out     *bufio.Reader
	command *exec.Cmd
}

// Tab is one page of a browser.
type Tab struct {
	browser *Browser
	name    string
	policy  string // Content-Security-Policy of the page
}

// command is one line to js/driver.mjs, which documents the verbs.
type command struct {
	Do       string `json:"do"`
	Tab      string `json:"tab"`
	URL      string `json:"url,omitempty"`
	Selector string `json:"selector,omitempty"`
	Value    string `json:"value,omitempty"`
	Scheme   string `json:"scheme,omitempty"`
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
}

// newBrowser starts a Chromium and ends it with the test.
func newBrowser(t *testing.T) *Browser {
	t.Helper()
	node := find(t, "node")
	chromium := find(t, chromiums...)
	if _, err := os.Stat("js/node_modules/playwright-core"); err != nil {
		missing(t, "playwright-core: run npm ci in tests/browser/js")
	}
	c := exec.Command(node, "js/driver.mjs", chromium)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, in: in, out: bufio.NewReader(out), command: c}
	t.Cleanup(b.close)
	return b
}

// close ends the driver by closing its input, and waits for it.
func (b *Browser) close() {
	_ = b.in.Close() // it may be gone already; Wait tells
	if err := b.command.Wait(); err != nil {
		b.t.Errorf("driver: %v", err)
	}
}

func find(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	missing(t, strings.Join(names, " or ")+": install it")
	return ""
}

// missing skips, or fails where a browser is required.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("HAWSER_REQUIRE_BROWSER") == "1" {
		t.Fatalf("missing %s", what)
	}
	t.Skipf("missing %s", what)
}

// do runs one command and decodes its answer into value, which may be nil.
func (b *Browser) do(c command, value any) {
	b.t.Helper()
	line, err := json.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		b.t.Fatalf("driver: %v", err)
	}
	answer, err := b.out.ReadBytes('\n')
	if err != nil {
		b.t.Fatalf("driver ended: %v", err)
	}
	var got struct {
		Value json.RawMessage
		Error string
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		b.t.Fatalf("driver answered %q: %v", answer, err)
	}
	if got.Error != "" {
		b.t.Fatalf("%s %s %q: %s", c.Do, c.Selector, c.Value, got.Error)
	}
	if value == nil {
		return
	}
	if err := json.Unmarshal(got.Value, value); err != nil {
		b.t.Fatalf("driver answered %q: %v", answer, err)
	}
}

// Open opens url in a new tab.
func (b *Browser) Open(name, url string) *Tab {
	b.t.Helper()
	return b.open(command{Do: "open", Tab: name, URL: url})
}

// open opens a tab with a size and a color scheme of its own.
func (b *Browser) open(c command) *Tab {
	b.t.Helper()
	var got struct {
		Status int
		Policy string
	}
	b.do(c, &got)
	if got.Status != 200 {
		b.t.Fatalf("%s: got status %d, want 200", c.URL, got.Status)
	}
	return &Tab{browser: b, name: c.Tab, policy: got.Policy}
}

// Fill types value into a field and leaves the field.
func (tab *Tab) Fill(selector, value string) {
	tab.browser.t.Helper()
	tab.browser.do(command{Do: "change", Tab: tab.name, Selector: selector, Value: value}, nil)
}

// Click clicks on selector.
func (tab *Tab) Click(selector string) {
	tab.browser.t.Helper()
	tab.browser.do(command{Do: "click", Tab: tab.name, Selector: selector}, nil)
}

// Wait waits until an element of selector holds text.
func (tab *Tab) Wait(selector, text string) {
	tab.browser.t.Helper()
	tab.browser.do(command{Do: "wait", Tab: tab.name, Selector: selector, Value: text}, nil)
}

// Text is what a person reads in the first element of selector.
func (tab *Tab) Text(selector string) (text string) {
	tab.browser.t.Helper()
	tab.browser.do(command{Do: "text", Tab: tab.name, Selector: selector}, &text)
	return text
}

// Count is the number of elements of selector.
func (tab *Tab) Count(selector string) (n int) {
	tab.browser.t.Helper()
	tab.browser.do(command{Do: "count", Tab: tab.name, Selector: selector}, &n)
	return n
}

// CheckProblems fails the test for each problem since the last call, unless
// allowed matches it.
func (tab *Tab) CheckProblems(allowed *regexp.Regexp) {
	tab.browser.t.Helper()
	var problems []string
	tab.browser.do(command{Do: "problems", Tab: tab.name}, &problems)
	for _, p := range problems {
		if allowed == nil || !allowed.MatchString(p) {
			tab.browser.t.Errorf("tab %s: %s", tab.name, p)
		}
	}
}
