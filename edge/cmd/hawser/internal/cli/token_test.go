package cli

import (
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"

	"hawser/edge/auth"
)

// TestTokenRoundTrip makes a key of each kind, signs with it, and lets the
// configuration that an operator would write verify the token.
func TestTokenRoundTrip(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, alg := range auth.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			made := run("token", "keygen", "--alg", alg, "--out", alg)
			if made.code != exitOK {
				t.Fatalf("keygen: %+v", made)
			}
			flag, verify := "--key="+alg+".key.pem", "HAWSER_AUTH_PUBLIC_KEYS="+alg+".pub.pem"
			if alg == auth.HS256 {
				flag, verify = "--secret-file="+alg+".secret", "HAWSER_AUTH_HMAC_SECRET_FILE="+alg+".secret"
			}
			token := gen(t, flag, "--sub", "room.*,news")
			good := run(verify, "token", "check", "-o", "json", token)
			var in auth.Inspection
			if err := json.Unmarshal([]byte(good.stdout), &in); err != nil {
				t.Fatalf("%v in %+v", err, good)
			}
			if good.code != exitOK || !in.Accepted || in.User != "ann" || len(in.Subscribe) != 2 {
				t.Errorf("check: %+v", good)
			}
			other := run(verify, "token", "check", "--tenant", "other", token)
			if other.code != exitFailed || !strings.Contains(other.stderr, "wrong_tenant") {
				t.Errorf("other tenant: %+v", other)
			}
			form := run("token", "check", token)
			if form.code != exitOK || !strings.Contains(form.stdout, "no key was given") {
				t.Errorf("without a key: %+v", form)
			}
		})
	}
}

// gen signs a token for ann in demo.
func gen(t *testing.T, args ...string) string {
	t.Helper()
	r := run(append([]string{"token", "gen", "--tenant", "demo", "--user", "ann"}, args...)...)
	if r.code != exitOK {
		t.Fatalf("gen %v: %+v", args, r)
	}
	return strings.TrimSpace(r.stdout)
}

func TestTokenTakesTheConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	config := "auth: {hmac_secret: 0123456789abcdef0123456789abcdef, issuer: me, audience: api}\n"
	if err := os.WriteFile("hawser.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	token := gen(t, "--config", "hawser.yml")
	if r := run("token", "check", "--config", "hawser.yml", token); r.code != exitOK || !strings.Contains(r.stdout, "api, hawser:demo") {
		t.Errorf("got %+v", r)
	}
	var out, errs strings.Builder
	code := Main(Process{Args: []string{"token", "check", "--config", "hawser.yml", "-"}, Stdin: strings.NewReader(token + "\n"), Stdout: &out, Stderr: &errs})
	if code != exitOK {
		t.Errorf("from standard input: exit %d, %s%s", code, out.String(), errs.String())
	}
}

func TestKeygenPrintsAndNeverOverwrites(t *testing.T) {
	t.Chdir(t.TempDir())
	if r := run("token", "keygen"); r.code != exitOK || len(strings.TrimSpace(r.stdout)) < 32 {
		t.Errorf("secret: %+v", r)
	}
	if r := run("token", "keygen", "--alg", "ES256"); !strings.Contains(r.stdout, "BEGIN PRIVATE KEY") || !strings.Contains(r.stdout, "BEGIN PUBLIC KEY") {
		t.Errorf("key pair: %+v", r)
	}
	run("token", "keygen", "--out", "k")
	before, err := os.ReadFile("k.secret")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat("k.secret")
	if err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("k.secret: %v, %v; want mode 0600", info, err)
	}
	again := run("token", "keygen", "--out", "k")
	after, err := os.ReadFile("k.secret")
	if again.code != exitFailed || err != nil || string(before) != string(after) {
		t.Errorf("second keygen: %+v, %v", again, err)
	}
}
