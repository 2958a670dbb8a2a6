package tests

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBadConfig: a node that cannot do what it was told refuses to start, with
// exit code 2 and a line that says what to change.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, config string
		args         []string
		environ      []string
		want         []string
	}{
		{"typo in the file", "auth: {allow_anonymous: true}\nedge:\n  lissten: 127.0.0.1:0\n", nil, nil, []string{"hawser.yml:3", "lissten", "did you mean", "edge.listen"}},
		{"typo in a flag", open, []string{"--edge.lissten=127.0.0.1:0"}, nil, []string{"--edge.lissten", "did you mean --edge.listen"}},
		{"typo in the environment", open, nil, []string{"HAWSER_EDGE_LISSTEN=127.0.0.1:0"}, []string{"HAWSER_EDGE_LISSTEN", "did you mean", "HAWSER_EDGE_LISTEN"}},
		{"a ladder that falls", open, []string{"--edge.ping_interval=5s", "--edge.pong_timeout=6s"}, nil, []string{"edge.pong_timeout", "edge.ping_interval"}},
		{"a gateway that gives up before the application", open, []string{"--nats.rpc_timeout=1m"}, nil, []string{"nats.rpc_timeout", "edge.ping_interval"}},
		{"nobody could connect", "channels: []\n", nil, nil, []string{"auth"}},
		{"short secret", "auth: {hmac_secret: short}\n", nil, nil, []string{"auth.hmac_secret", "32"}},
		{"bad unit", open, []string{"--edge.ping_interval=25"}, nil, []string{"edge.ping_interval", "25"}},
		{"two at one address", open, []string{"--edge.listen=127.0.0.1:1", "--admin.listen=127.0.0.1:1"}, nil, []string{"admin.listen", "edge.listen"}},
		{"NATS for everyone", open, []string{"--nats.listen=0.0.0.0:0"}, nil, []string{"nats.listen", "nats.user"}},
		{"no YAML", "edge: [\n", nil, nil, []string{"hawser.yml"}},
	} {
		h := launchHawser(t, setup{config: c.config, args: c.args, environ: c.environ})
		if code := h.exit(); code != 2 {
			t.Errorf("%s: exit code %d, want 2", c.name, code)
		}
		for _, text := range c.want {
			if !strings.Contains(h.log.String(), text) {
				t.Errorf("%s: %q is not in: %s", c.name, text, h.log)
			}
		}
	}
}

// TestConfigCheck: the command says of a file what serve would, without a
// node.
func TestConfigCheck(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := runHawser(t, nil, "config", "default")
	if code != 0 {
		t.Fatalf("config default: exit code %d: %s", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "hawser.yml")
	for _, c := range []struct {
		text string
		code int
	}{
		{strings.Replace(stdout, `hmac_secret: ""`, `hmac_secret: "`+secret+`"`, 1), 0},
		{stdout, 2}, // nobody could connect
		{open + "nat: {}\n", 2},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := runHawser(t, nil, "config", "check", file); code != c.code {
			t.Errorf("config check: exit code %d, want %d: %s", code, c.code, stderr)
		}
	}
}

// TestTakenAddress: the error names the key to change.
func TestTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, key := range []string{"edge.listen", "admin.listen", "nats.listen"} {
		h := launchHawser(t, setup{args: []string{"--" + key + "=" + taken.Addr().String()}})
		if code := h.exit(); code != 1 {
			t.Errorf("%s: exit code %d, want 1", key, code)
		}
		if text := h.log.String(); !strings.Contains(text, key) || !strings.Contains(text, taken.Addr().String()) {
			t.Errorf("%s and %v are not in: %s", key, taken.Addr(), text)
		}
	}
}

// TestReload: HUP changes what can change under live connections, says what
// cannot, and a broken file changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	const origin = "Origin: https://app.example.org"
	h := startHawser(t, setup{config: classes, errors: []string{"configuration not reloaded"}})
	c, _ := connectRaw(t, h, "")
	c.refused(403, `"publish":{"channel":"read.a","data":1}`)
	if r := refusal(t, h, origin); r.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page got %s, want 403", r.Status)
	}

	h.configure(strings.Replace(classes, "'read.>', subscribe: allow, publish: refuse", "'read.>', subscribe: allow, publish: allow", 1) +
		"edge: {origins: [https://app.example.org], ping_interval: 33s}\n")
	h.signal(syscall.SIGHUP)
	eventually(t, "the reload is logged", func() bool { return h.log.find("configuration reloaded") != nil })
	line := h.log.find("configuration reloaded")
	if got := strings.Join(texts(line["changed"]), " "); got != "edge.origins channels" {
		t.Errorf("changed: got %q, want edge.origins channels", got)
	}
	if got := strings.Join(texts(line["needs_restart"]), " "); got != "edge.ping_interval" {
		t.Errorf("needs_restart: got %q, want edge.ping_interval", got)
	}
	c.send(`{"id":3,"publish":{"channel":"read.a","data":1}}`)
	if r := c.next(); r.Published == nil {
		t.Errorf("after the reload: got %s, want published", r.text)
	}
	first(connectRaw(t, h, "", origin)).alive()

	h.configure("edge: {origin: []}\n")
	h.signal(syscall.SIGHUP)
	eventually(t, "the error is logged", func() bool { return h.log.find("configuration not reloaded") != nil })
	first(connectRaw(t, h, "", origin)).alive()
	c.alive()
}

// texts are the strings of a list in a log line.
func texts(list any) []string {
	items, _ := list.([]any)
	all := make([]string, len(items))
	for i, item := range items {
		all[i], _ = item.(string)
	}
	return all
}
