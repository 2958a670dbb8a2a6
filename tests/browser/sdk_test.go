package browser

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hawser/edge/auth"
	"hawser/edge/node"
)

// sdk is the JavaScript SDK's room.
const sdk = "../../edge/client/js"

// TestSDKInNode runs the SDK's integration tests, with package ws as the
// socket, against a real node.
func TestSDKInNode(t *testing.T) {
	runSDK := buildSDKTests(t)
	n := startNode(t)
	serveTestRPC(t, n.NATS())
	runSDK("integration.test.js", "HAWSER_URL="+n.addrs.WebSocket("demo"))
}

// TestSDKTokens does the same with a node that wants tokens.
func TestSDKTokens(t *testing.T) {
	runSDK := buildSDKTests(t)
	const secret = "a secret of the tests, of 32 bytes or more"
	n := startNode(t, func(c *node.Config) {
		c.Auth.AllowAnonymous = false
		c.Auth.HMACSecret = secret
		c.Auth.Leeway = 0 // it would lengthen the short tokens
	})
	// Short enough that a test may wait for its refresh, at 70 to 85 %.
	const short = 5 * time.Second
	ann := auth.MintOptions{Tenant: "demo", User: "ann", Secret: secret}
	tokens := map[string]string{
		"ann":       mint(t, ann),
		"bob":       mint(t, auth.MintOptions{Tenant: "demo", User: "bob", Secret: secret}),
		"elsewhere": mint(t, auth.MintOptions{Tenant: "elsewhere", User: "ann", Secret: secret}),
		"forged":    mint(t, auth.MintOptions{Tenant: "demo", User: "ann", Secret: strings.ToUpper(secret)}),
	}
	ann.TTL = short
	tokens["short"] = mint(t, ann)
	ann.TTL = 2 * short
	tokens["short2"] = mint(t, ann)
	list, err := json.Marshal(tokens)
	if err != nil {
		t.Fatal(err)
	}
	runSDK("integration-tokens.test.js", "HAWSER_URL="+n.addrs.WebSocket("demo"), "HAWSER_TOKENS="+string(list))
}

func mint(t *testing.T, o auth.MintOptions) string {
	t.Helper()
	token, err := auth.Mint(o)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// buildSDKTests bundles the SDK's tests and returns what runs one of them,
// with more environment, and fails when a test of it was skipped.
func buildSDKTests(t *testing.T) func(file string, env ...string) {
	t.Helper()
	runner := find(t, "node")
	if _, err := os.Stat(sdk + "/node_modules/esbuild"); err != nil {
		missing(t, "esbuild: run npm ci in edge/client/js")
	}
	run(t, exec.Command(runner, "build.mjs", "test"))
	return func(file string, env ...string) {
		t.Helper()
		c := exec.Command(runner, "--test", "--test-reporter=tap", "build/"+file)
		c.Env = append(os.Environ(), env...)
		if out := run(t, c); strings.Contains(out, "# SKIP") {
			t.Errorf("tests were skipped:\n%s", out)
		}
	}
}

// run runs a command in the SDK's room and fails with what it said.
func run(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	c.Dir = sdk
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	return string(out)
}

// serveTestRPC is an application: test.echo answers what it was asked,
// test.direct sends to the session it was given.
func serveTestRPC(t *testing.T, app *nats.Conn) {
	t.Helper()
	answer := func(m *nats.Msg, data []byte) {
		if err := m.Respond(data); err != nil {
			t.Error(err)
		}
	}
	_, err := app.Subscribe("hw.rpc.demo.test.echo", func(m *nats.Msg) { answer(m, m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Subscribe("hw.rpc.demo.test.direct", func(m *nats.Msg) {
		var to struct{ Session string }
		if err := json.Unmarshal(m.Data, &to); err != nil {
			t.Error(err)
		}
		if err := app.Publish("hw.session.demo."+to.Session, []byte(`"only you"`)); err != nil {
			t.Error(err)
		}
		answer(m, []byte("{}"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Flush(); err != nil {
		t.Fatal(err)
	}
}
