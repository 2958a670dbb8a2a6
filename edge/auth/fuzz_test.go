package auth

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"hawser/proto/names"
)

// FuzzVerify: any text gets one inline answer, and golang-jwt agrees with
// whatever is accepted.
func FuzzVerify(f *testing.F) {
	good := signSecret(f, nil, goodClaims())
	for _, seed := range []string{good, "", "..", good + ".", "eyJhbGciOiJub25lIn0.e30.", flipLast(good),
		signSecret(f, fields{"kid": "k", "crit": []string{}}, goodClaims())} {
		f.Add("demo", seed)
	}
	v := newVerifier(f, secretConfig(), Options{})
	f.Fuzz(func(t *testing.T, tenant, text string) {
		_, err := verifyNow(t, v, tenant, text)
		checkRefusal(t, err)
		if err == nil {
			agree(t, text)
		}
	})
}

// FuzzClaims gets past the signature: any payload, signed.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"ann","aud":"hawser:demo","exp":1790000000}`, `{"sub":"ann","aud":["demo"],"exp":1e10,"hw":{"sub":"a.>","pub":["*"]}}`,
		`{"sub":"a","SUB":"b","aud":"demo","exp":1.5e9,"nbf":-0,"iat":0}`, `{}`, `[]`, `null`, `{"tenant":[],"exp":null}`,
	} {
		f.Add([]byte(seed))
	}
	v := newVerifier(f, secretConfig(), Options{})
	head := segment(fields{"alg": HS256})
	f.Fuzz(func(t *testing.T, payload []byte) {
		text := signRaw(t, HS256, testSecret, head, base64.RawURLEncoding.EncodeToString(payload))
		id, err := verifyNow(t, v, "demo", text)
		checkRefusal(t, err)
		if err != nil {
			return
		}
		if len(text) > DefaultMaxTokenBytes || names.CheckUser(id.User) != nil || checkPatterns(id.Subscribe, id.Publish) != nil || id.Expires.IsZero() {
			t.Fatalf("accepted %q as %+v", payload, id)
		}
		agree(t, text)
	})
}

// checkRefusal wants a typed error with a short message.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Reason == ReasonOK || e.Reason >= reasonCount || len(e.Message) == 0 || len(e.Message) > 1000) {
		t.Fatalf("refusal: got %#v", err)
	}
}

// agree fails when golang-jwt would refuse what we took.
func agree(t *testing.T, text string) {
	t.Helper()
	clock := newTestClock()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{HS256}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(DefaultLeeway), jwt.WithTimeFunc(clock.Now))
	if _, err := parser.Parse(text, func(*jwt.Token) (any, error) { return []byte(testSecret), nil }); err != nil {
		t.Fatalf("accepted %q, which golang-jwt refuses: %v", text, err)
	}
}

// FuzzKeySet: any body parses or does not; what is kept can be used.
func FuzzKeySet(f *testing.F) {
	f.Add(keySet(keyPairs()[ES256], keyPairs()[RS256], keyPairs()[EdDSA]))
	for _, seed := range []string{`{"keys":[{"kty":"oct","k":"AA"}]}`, `{"keys":[null]}`, `{}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ring, _, err := parseKeySet(body)
		if (err == nil) != (ring.size() > 0) {
			t.Fatalf("got %d keys and %v", ring.size(), err)
		}
		for id, keys := range ring {
			for _, k := range keys {
				if len(id) > maxKeyIDBytes || k.method.Alg() == HS256 {
					t.Fatalf("kept %s key %q", k.method.Alg(), id)
				}
				if k.method.Verify("a.b", make([]byte, 64), k.material) == nil {
					t.Fatalf("key %q takes a signature of zeros", id)
				}
			}
		}
	})
}

// FuzzResumeOpen: no text opens that Issue did not make.
func FuzzResumeOpen(f *testing.F) {
	r := newResumer(f, ResumeConfig{Secret: testSecret}, newTestClock())
	good := r.Issue(goodResume())
	f.Add(good)
	f.Add(good[1:])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := r.Open(text)
		checkRefusal(t, err)
		if err == nil && r.Issue(c) != text {
			t.Fatalf("%q opens as %+v, which is issued as another", text, c)
		}
	})
}

// FuzzResumeBody gets past the tag: any body, sealed.
func FuzzResumeBody(f *testing.F) {
	r := newResumer(f, ResumeConfig{Secret: testSecret}, newTestClock())
	for _, seed := range []string{"\x01\x07\x80\x80\x80\x80\x80\x80\x80\x01\x01s\x01t\x01u", "\x01", "\x01\xff", "\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c, err := r.Open(seal(r, body))
		checkRefusal(t, err)
		if err != nil {
			return
		}
		if again, err := r.Open(r.Issue(c)); err != nil || !same(again, c) {
			t.Fatalf("%q opens as %+v, then as %+v, %v", body, c, again, err)
		}
	})
}
