package auth

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hawser/actors"
)

// TestMain fails the package when goroutines outlive its tests.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	// A fuzzing run keeps a signal handler of the testing package.
	fuzzing := flag.Lookup("test.fuzz").Value.String() != ""
	if code == 0 && !fuzzing && !settled(func() bool { return runtime.NumGoroutine() <= before }) {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "goroutines leaked: had %d, have %d\n%s\n",
			before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// settled polls a condition; it gives up after 10 s.
func settled(ok func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !settled(ok) {
		t.Fatalf("never: %s", what)
	}
}

// epoch is the time of all tests that do not need another.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testClock stands still until it is moved.
type testClock struct{ ns atomic.Int64 }

func newTestClock() *testClock {
	c := &testClock{}
	c.ns.Store(epoch.UnixNano())
	return c
}

func (c *testClock) Now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *testClock) Advance(d time.Duration) { c.ns.Add(int64(d)) }

const (
	testSecret     = "current-secret-of-at-least-32-bytes"
	previousSecret = "previous-secret-of-at-least-32-bytes"
)

// keyPairs has one pair of each algorithm, made once: RSA takes a while.
var keyPairs = sync.OnceValue(func() map[string]KeyPair {
	pairs := map[string]KeyPair{}
	for _, alg := range Algorithms() {
		pair, err := GenerateKey(alg)
		if err != nil {
			panic(err)
		}
		pairs[alg] = pair
	}
	return pairs
})

func newPair(t testing.TB, alg string) KeyPair {
	t.Helper()
	pair, err := GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newVerifier(t testing.TB, cfg Config, opts Options) *Verifier {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = newTestClock()
	}
	v, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// secretConfig accepts HS256 with testSecret.
func secretConfig() Config {
	cfg := DefaultConfig()
	cfg.HMACSecret = testSecret
	return cfg
}

// fields are the members of a header or payload, to be changed by a test; nil
// leaves a member out.
type fields map[string]any

func goodClaims() fields {
	return fields{"sub": "ann", "aud": "hawser:demo", "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix()}
}

func (f fields) with(changes fields) fields {
	for name, value := range changes {
		if f[name] = value; value == nil {
			delete(f, name)
		}
	}
	return f
}

func segment(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// signRaw signs any header and payload, however wrong. The key is a secret for
// HS256, else a PEM.
func signRaw(t testing.TB, alg, secretOrPEM, head, payload string) string {
	t.Helper()
	var material any = []byte(secretOrPEM)
	if alg != HS256 {
		private, err := parsePrivatePEM(secretOrPEM)
		if err != nil {
			t.Fatal(err)
		}
		material = private
	}
	// The header may claim another algorithm; the key says what can be done.
	method := methods[alg]
	switch material.(type) {
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
	case *ecdsa.PrivateKey:
		method = jwt.SigningMethodES256
	}
	signature, err := method.Sign(head+"."+payload, material)
	if err != nil {
		t.Fatal(err)
	}
	return head + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func sign(t testing.TB, alg, secretOrPEM string, head, payload fields) string {
	t.Helper()
	return signRaw(t, alg, secretOrPEM, segment(fields{"alg": alg, "typ": "JWT"}.with(head)), segment(payload))
}

// signSecret is the usual HS256 token.
func signSecret(t testing.TB, head, payload fields) string {
	t.Helper()
	return sign(t, HS256, testSecret, head, payload)
}

// answer is what done was called with.
type answer struct {
	id  actors.Identity
	err error
}

// verify returns a channel that gets the answer, and fails the test on a
// second one.
func verify(t testing.TB, v *Verifier, tenant, token string) <-chan answer {
	t.Helper()
	answers := make(chan answer, 1)
	var calls atomic.Int32
	v.Verify(tenant, token, func(id actors.Identity, err error) {
		if calls.Add(1) > 1 {
			t.Errorf("done called twice")
			return
		}
		answers <- answer{id, err}
	})
	return answers
}

// verifyNow wants the answer before Verify returns.
func verifyNow(t testing.TB, v *Verifier, tenant, token string) (actors.Identity, error) {
	t.Helper()
	select {
	case a := <-verify(t, v, tenant, token):
		return a.id, a.err
	default:
		t.Fatal("Verify returned without an answer")
		panic("unreachable")
	}
}

func wantReason(t testing.TB, err error, want Reason, temporary bool) {
	t.Helper()
	if got := ReasonOf(err); got != want {
		t.Fatalf("reason: got %v (%v), want %v", got, err, want)
	}
	var e *Error
	if errors.As(err, &e) && e.Temporary != temporary {
		t.Fatalf("temporary: got %v (%v), want %v", e.Temporary, err, temporary)
	}
}

// keyServer is a real endpoint for a key set.
type keyServer struct {
	*httptest.Server
	fetches atomic.Int32

	mu     sync.Mutex
	answer http.HandlerFunc // guarded by mu
}

func newKeyServer(t testing.TB, pairs ...KeyPair) *keyServer {
	s := &keyServer{}
	s.publish(pairs...)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// publish replaces the set.
func (s *keyServer) publish(pairs ...KeyPair) {
	body := keySet(pairs...)
	s.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

func (s *keyServer) fail() {
	s.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}

func keySet(pairs ...KeyPair) []byte {
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for _, pair := range pairs {
		one := all
		one.Keys = nil
		if err := json.Unmarshal([]byte(pair.JWKS), &one); err != nil {
			panic(err)
		}
		all.Keys = append(all.Keys, one.Keys...)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return raw
}

// setConfig accepts what the server publishes. The refresh is so rare that
// only tokens cause fetches, after the first.
func (s *keyServer) config() Config {
	cfg := DefaultConfig()
	cfg.JWKSURL = s.URL + "/keys"
	cfg.JWKSRefresh = 24 * time.Hour
	return cfg
}

// signPair signs good claims with a published key.
func signPair(t testing.TB, pair KeyPair) string {
	t.Helper()
	return sign(t, pair.Algorithm, pair.Private, fields{"kid": pair.ID}, goodClaims())
}
