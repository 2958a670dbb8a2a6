package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"reflect"
	"strings"
	"testing"
	"time"

	"hawser/actors"
)

// TestMintVerifies: what Mint signs, Verify accepts, for each algorithm.
func TestMintVerifies(t *testing.T) {
	for alg, pair := range keyPairs() {
		cfg := DefaultConfig()
		cfg.Issuer = "https://dev"
		opts := MintOptions{
			Tenant: "demo", User: "ann", Issuer: "https://dev", Now: epoch,
			Subscribe: []string{"news", "room.*"}, Publish: []string{"room.>"},
		}
		if alg == HS256 {
			cfg.HMACSecret, opts.Secret = pair.Secret, pair.Secret
		} else {
			cfg.PublicKeys = []PublicKey{{ID: pair.ID, PEM: pair.Public}}
			opts.PrivateKey = pair.Private
		}
		token, err := Mint(opts)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		got, err := verifyNow(t, newVerifier(t, cfg, Options{}), "demo", token)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		got.Expires = got.Expires.UTC()
		want := actors.Identity{User: "ann", Expires: epoch.Add(DefaultTTL + DefaultLeeway), Subscribe: opts.Subscribe, Publish: opts.Publish}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", alg, got, want)
		}
	}
}

func TestMintAudience(t *testing.T) {
	cfg := secretConfig()
	cfg.Audience = "https://api"
	token, err := Mint(MintOptions{Tenant: "demo", User: "ann", Audience: "https://api", Secret: testSecret, KeyID: "dev", TTL: time.Minute, Now: epoch})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyNow(t, newVerifier(t, cfg, Options{}), "demo", token); err != nil {
		t.Error(err)
	}
	if in := Inspect(token); in.KeyID != "dev" || !in.Expires.Equal(epoch.Add(time.Minute)) {
		t.Errorf("got %+v, want key id dev and one minute", in)
	}
}

// TestMintOldPEM: the forms that openssl writes.
func TestMintOldPEM(t *testing.T) {
	for alg, encode := range map[string]func(any) (string, []byte, error){
		ES256: ecPEM, RS256: rsaPEM,
	} {
		private, err := parsePrivatePEM(keyPairs()[alg].Private)
		if err != nil {
			t.Fatal(err)
		}
		kind, der, err := encode(private)
		if err != nil {
			t.Fatal(err)
		}
		text := string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if _, err := Mint(MintOptions{Tenant: "demo", User: "ann", PrivateKey: text}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	public, err := x509.ParsePKIXPublicKey(pemBytes(keyPairs()[RS256].Public))
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1(public)})
	if _, err := parsePublicPEM(string(old)); err != nil {
		t.Errorf("RSA PUBLIC KEY: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	weak := weakPrivate(t)
	for name, tc := range map[string]struct {
		change func(*MintOptions)
		want   string
	}{
		"no tenant":    {func(o *MintOptions) { o.Tenant = "" }, "tenant"},
		"no user":      {func(o *MintOptions) { o.User = "" }, "user"},
		"negative ttl": {func(o *MintOptions) { o.TTL = -1 }, "TTL"},
		"endless ttl":  {func(o *MintOptions) { o.TTL = MaxTTL + 1 }, "TTL"},
		"no key":       {func(o *MintOptions) { o.Secret = "" }, "exactly one"},
		"two keys":     {func(o *MintOptions) { o.PrivateKey = keyPairs()[ES256].Private }, "exactly one"},
		"short secret": {func(o *MintOptions) { o.Secret = "short" }, "5 bytes"},
		"no PEM":       {func(o *MintOptions) { o.Secret, o.PrivateKey = "", "x" }, "no PEM"},
		"public PEM":   {func(o *MintOptions) { o.Secret, o.PrivateKey = "", keyPairs()[ES256].Public }, "is a PUBLIC KEY"},
		"weak key":     {func(o *MintOptions) { o.Secret, o.PrivateKey = "", weak }, "1024 bits"},
		"bad pattern":  {func(o *MintOptions) { o.Subscribe = []string{"a b"} }, "pattern"},
		"many":         {func(o *MintOptions) { o.Publish = strings.Split(strings.Repeat("a ", 64)+"a", " ") }, "65 patterns"},
	} {
		opts := MintOptions{Tenant: "demo", User: "ann", Secret: testSecret}
		tc.change(&opts)
		if _, err := Mint(opts); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, tc.want)
		}
	}
	if _, err := GenerateKey("none"); err == nil {
		t.Error("GenerateKey took none")
	}
}

func TestInspectForm(t *testing.T) {
	token := signSecret(t, fields{"kid": "k"}, goodClaims().with(fields{"nbf": epoch.Unix(), "hw": fields{"sub": "a"}}))
	in := Inspect(token)
	if in.Accepted || in.Verified || in.Algorithm != HS256 || in.KeyID != "k" || in.User != "ann" ||
		!reflect.DeepEqual(in.Tenants, []string{"demo"}) || !in.Expires.Equal(epoch.Add(time.Hour)) || in.NotBefore == nil {
		t.Errorf("got %+v", in)
	}
	if !strings.Contains(in.Message, "were not checked") {
		t.Errorf("message: got %q, want it to say what was not checked", in.Message)
	}
	if in := Inspect("x"); in.Reason != "malformed" || len(in.Checks) != 1 || in.Checks[0].Passed {
		t.Errorf("no token: got %+v", in)
	}
}

func TestInspectVerdict(t *testing.T) {
	v := newVerifier(t, secretConfig(), Options{})
	for name, tc := range map[string]struct {
		tenant string
		claims fields
		reason string
		checks int
	}{
		"good":           {"demo", nil, "ok", len(steps)},
		"tenant implied": {"", nil, "ok", len(steps)},
		"bare tenant":    {"", fields{"aud": "demo"}, "ok", len(steps)},
		"other tenant":   {"other", nil, "wrong_tenant", len(steps)},
		"expired":        {"demo", fields{"exp": 5}, "expired", 5},
		"no user":        {"", fields{"sub": nil}, "bad_claims", 4},
	} {
		in := v.Inspect(t.Context(), tc.tenant, signSecret(t, nil, goodClaims().with(tc.claims)))
		if in.Reason != tc.reason || in.Accepted != (tc.reason == "ok") || !in.Verified || len(in.Checks) != tc.checks {
			t.Errorf("%s: got %+v, want %s after %d checks", name, in, tc.reason, tc.checks)
		}
		if last := in.Checks[len(in.Checks)-1]; last.Passed != in.Accepted {
			t.Errorf("%s: last check: got %+v, want passed %v", name, last, in.Accepted)
		}
	}
}

// TestInspectWaits: an Inspect whose keys never come ends with its context.
func TestInspectWaits(t *testing.T) {
	cfg := DefaultConfig()
	cfg.JWKSURL = "https://id.example/keys"
	v := newVerifier(t, cfg, Options{}) // never opened
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if in := v.Inspect(ctx, "demo", signPair(t, keyPairs()[ES256])); in.Reason != "keys_unavailable" {
		t.Errorf("got %+v, want keys_unavailable", in)
	}
}

// TestStepsCoverReasons: each refusal belongs to exactly one step.
func TestStepsCoverReasons(t *testing.T) {
	count := map[Reason]int{}
	for _, step := range steps {
		for _, r := range step.fails {
			count[r]++
		}
	}
	for _, r := range Reasons() {
		if want := min(int(r), 1); count[r] != want {
			t.Errorf("%v is in %d steps, want %d", r, count[r], want)
		}
	}
}

func ecPEM(private any) (string, []byte, error) {
	der, err := x509.MarshalECPrivateKey(private.(*ecdsa.PrivateKey))
	return "EC PRIVATE KEY", der, err
}

func rsaPEM(private any) (string, []byte, error) {
	return "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private.(*rsa.PrivateKey)), nil
}

func pkcs1(public any) []byte { return x509.MarshalPKCS1PublicKey(public.(*rsa.PublicKey)) }

func pemBytes(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	return block.Bytes
}

func weakPrivate(t *testing.T) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
}
