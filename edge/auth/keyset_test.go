package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hawser/actors"
)

// openVerifier starts a verifier on the server's set and waits for the first
// fetch to end.
func openVerifier(t *testing.T, cfg Config, opts Options) *Verifier {
	t.Helper()
	v := newVerifier(t, cfg, opts)
	v.Open(t.Context())
	eventually(t, "the first fetch ends", func() bool {
		s := v.Stats()
		return s.Keys > 0 || s.Failures > 0
	})
	return v
}

func verifySoon(t *testing.T, v *Verifier, token string) error {
	t.Helper()
	a := verify(t, v, "demo", token)
	eventually(t, "an answer", func() bool { return len(a) > 0 })
	return (<-a).err
}

// TestKeySetRotation: a new key is found at once, an old one is dropped.
func TestKeySetRotation(t *testing.T) {
	one, two := newPair(t, ES256), newPair(t, EdDSA)
	server, clock := newKeyServer(t, one), newTestClock()
	v := openVerifier(t, server.config(), Options{Clock: clock})
	if _, err := verifyNow(t, v, "demo", signPair(t, one)); err != nil {
		t.Fatalf("cached key, inline: %v", err)
	}

	server.publish(one, two)
	if err := verifySoon(t, v, signPair(t, two)); err != nil {
		t.Fatalf("new key: %v", err)
	}
	if got := server.fetches.Load(); got != 2 {
		t.Errorf("fetches: got %d, want 2: at the start and for the new key", got)
	}

	server.publish(two)
	clock.Advance(DefaultJWKSMinInterval)
	wantReason(t, verifySoon(t, v, signPair(t, newPair(t, ES256))), ReasonUnknownKey, false) // causes a fetch
	_, err := verifyNow(t, v, "demo", signPair(t, one))
	wantReason(t, err, ReasonUnknownKey, true)
	if _, err := verifyNow(t, v, "demo", signPair(t, two)); err != nil {
		t.Fatalf("kept key: %v", err)
	}
}

// TestForgedKeyIDs: any number of unknown key ids causes one fetch per
// interval, and nobody else notices.
func TestForgedKeyIDs(t *testing.T) {
	pair, forger := newPair(t, ES256), newPair(t, ES256)
	server, clock := newKeyServer(t, pair), newTestClock()
	v := openVerifier(t, server.config(), Options{Clock: clock})
	forge := func(i int) string {
		return sign(t, ES256, forger.Private, fields{"kid": fmt.Sprintf("evil-%d", i)}, goodClaims())
	}
	for interval := range 3 {
		before := server.fetches.Load()
		wantReason(t, verifySoon(t, v, forge(interval)), ReasonUnknownKey, false)
		for i := range 200 {
			_, err := verifyNow(t, v, "demo", forge(1000+i))
			wantReason(t, err, ReasonUnknownKey, true) // may be younger than the fetch
			_, err = verifyNow(t, v, "demo", forge(interval))
			wantReason(t, err, ReasonUnknownKey, false) // the fetch was made for it
			if _, err := verifyNow(t, v, "demo", signPair(t, pair)); err != nil {
				t.Fatal(err)
			}
		}
		if got := server.fetches.Load() - before; got != 1 {
			t.Errorf("interval %d: got %d fetches, want 1", interval, got)
		}
		clock.Advance(DefaultJWKSMinInterval)
	}
	if got := len(v.remote.missing); got != 1 {
		t.Errorf("negative cache: got %d ids, want 1", got)
	}
}

// TestConcurrentUnknownKey: one fetch serves all who wait, and only keys by
// the right name verify.
func TestConcurrentUnknownKey(t *testing.T) {
	one, two := newPair(t, ES256), newPair(t, RS256)
	server := newKeyServer(t, one)
	v := openVerifier(t, server.config(), Options{})
	server.publish(one, two)
	good, bad := signPair(t, two), sign(t, RS256, two.Private, fields{"kid": "evil"}, goodClaims())
	const each = 20
	var wg sync.WaitGroup
	errs := make(chan error, 2*each)
	for range each {
		wg.Go(func() {
			if err := (<-verify(t, v, "demo", good)).err; err != nil {
				errs <- err
			}
		})
		wg.Go(func() {
			if err := (<-verify(t, v, "demo", bad)).err; ReasonOf(err) != ReasonUnknownKey {
				errs <- fmt.Errorf("forged: got %w, want unknown_key", err)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		// A good token that came after a fetch that only the forged ones
		// caused is still told to try again; here all keys were published
		// before.
		t.Error(err)
	}
	if got := server.fetches.Load(); got > 3 {
		t.Errorf("fetches: got %d, want at most 3", got)
	}
}

// TestLateWaiter: a fetch that began before a token came does not settle
// whether its key exists.
func TestLateWaiter(t *testing.T) {
	one, two := newPair(t, ES256), newPair(t, ES256)
	server := newKeyServer(t, one)
	arrived, release := make(chan struct{}), make(chan struct{})
	stale := keySet(one)
	server.serve(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write(stale)
	})
	v := newVerifier(t, server.config(), Options{})
	v.Open(t.Context())
	<-arrived
	answer := verify(t, v, "demo", signPair(t, two))
	server.publish(one, two)
	close(release)
	if a := <-answer; a.err != nil {
		t.Fatalf("key published during the fetch: %v", a.err)
	}
	if got := server.fetches.Load(); got != 2 {
		t.Errorf("fetches: got %d, want 2", got)
	}
}

// TestWaitingOverflow: at most maxWaiting verifications wait for a fetch.
func TestWaitingOverflow(t *testing.T) {
	pair := newPair(t, EdDSA)
	server := newKeyServer(t)
	release := make(chan struct{})
	set := keySet(pair)
	server.serve(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(set)
	})
	v := newVerifier(t, server.config(), Options{})
	v.Open(t.Context())
	token := signPair(t, pair)
	answers := make([]<-chan answer, maxWaiting)
	for i := range answers {
		answers[i] = verify(t, v, "demo", token)
	}
	if got := v.Stats().Waiting; got != maxWaiting {
		t.Fatalf("waiting: got %d, want %d", got, maxWaiting)
	}
	_, err := verifyNow(t, v, "demo", token)
	wantReason(t, err, ReasonOverflow, true)
	close(release)
	for _, a := range answers {
		if err := (<-a).err; err != nil {
			t.Fatal(err)
		}
	}
	if got := v.Stats().Waiting; got != 0 {
		t.Errorf("waiting afterwards: got %d, want 0", got)
	}
}

// TestStaleKeys: an endpoint that is down costs new keys, not the known ones.
func TestStaleKeys(t *testing.T) {
	pair := newPair(t, ES256)
	server, clock := newKeyServer(t, pair), newTestClock()
	var log lockedBuffer
	v := openVerifier(t, server.config(), Options{Clock: clock, Log: slog.New(slog.NewTextHandler(&log, nil))})
	broken := map[string]http.HandlerFunc{
		"error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) },
		"no set":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
		"too long":  func(w http.ResponseWriter, _ *http.Request) { writeLong(w) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) { cutShort(w) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://203.0.113.1/keys", http.StatusFound)
		},
		"in circles": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/keys", http.StatusFound)
		},
	}
	for name, answer := range broken {
		server.serve(answer)
		clock.Advance(DefaultJWKSMinInterval)
		failures := v.Stats().Failures
		err := verifySoon(t, v, signPair(t, newPair(t, ES256)))
		wantReason(t, err, ReasonKeysUnavailable, true)
		if strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %q names a host", name, err)
		}
		if got := v.Stats().Failures; got != failures+1 {
			t.Errorf("%s: got %d failures, want %d", name, got, failures+1)
		}
		if _, err := verifyNow(t, v, "demo", signPair(t, pair)); err != nil {
			t.Errorf("%s: known key: %v", name, err)
		}
	}
	if !strings.Contains(log.String(), "status 502") {
		t.Errorf("log: got %q, want the status in it", log.String())
	}
	server.Close()
	clock.Advance(DefaultJWKSMinInterval)
	wantReason(t, verifySoon(t, v, signPair(t, newPair(t, ES256))), ReasonKeysUnavailable, true)
	if _, err := verifyNow(t, v, "demo", signPair(t, pair)); err != nil {
		t.Errorf("no server: known key: %v", err)
	}
}

func writeLong(w http.ResponseWriter) {
	_, _ = io.WriteString(w, `{"keys":[],"padding":"`)
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	for range maxKeySetBytes/len(chunk) + 1 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
	_, _ = io.WriteString(w, `"}`)
}

func cutShort(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"keys":[`)
}

// lockedBuffer is a log that the fetching goroutine writes and a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestNeverFetched: before the first good fetch tokens wait for it, and are
// told 503 when it fails.
func TestNeverFetched(t *testing.T) {
	pair := newPair(t, ES256)
	server := newKeyServer(t)
	server.fail()
	v := newVerifier(t, server.config(), Options{Clock: newTestClock()})
	early := verify(t, v, "demo", signPair(t, pair)) // before Open
	if len(early) > 0 {
		t.Fatal("answered before Open")
	}
	v.Open(t.Context())
	wantReason(t, (<-early).err, ReasonKeysUnavailable, true)
	unnamed := sign(t, ES256, pair.Private, nil, goodClaims())
	wantReason(t, verifySoon(t, v, unnamed), ReasonKeysUnavailable, true)
	server.publish(pair)
	eventually(t, "the retry finds the set", func() bool { return v.Stats().Keys == 1 })
	if _, err := verifyNow(t, v, "demo", signPair(t, pair)); err != nil {
		t.Fatal(err)
	}
	_, err := verifyNow(t, v, "demo", unnamed)
	wantReason(t, err, ReasonUnknownKey, false)
}

// TestUnnamedSetKey: a set may have a key without an id, for tokens without.
func TestUnnamedSetKey(t *testing.T) {
	pair := newPair(t, ES256)
	server := newKeyServer(t)
	body := bytes.ReplaceAll(keySet(pair), []byte(`"kid":"`+pair.ID+`",`), nil)
	server.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	v := openVerifier(t, server.config(), Options{})
	if _, err := verifyNow(t, v, "demo", sign(t, ES256, pair.Private, nil, goodClaims())); err != nil {
		t.Fatal(err)
	}
	wantReason(t, verifySoon(t, v, signPair(t, pair)), ReasonUnknownKey, false)
}

// TestKeySetConfusion: no algorithm but that of the published key, and none
// that Algorithms leaves out.
func TestKeySetConfusion(t *testing.T) {
	rsaPair, ecPair := keyPairs()[RS256], keyPairs()[ES256]
	server := newKeyServer(t, rsaPair, ecPair)
	cfg := server.config()
	cfg.Algorithms = []string{ES256}
	v := openVerifier(t, cfg, Options{})
	for _, token := range []string{
		sign(t, HS256, rsaPair.Public, fields{"kid": rsaPair.ID}, goodClaims()),
		sign(t, RS256, rsaPair.Private, fields{"kid": rsaPair.ID}, goodClaims()),
		sign(t, ES256, ecPair.Private, fields{"kid": rsaPair.ID}, goodClaims()),
		sign(t, ES256, rsaPair.Private, fields{"kid": ecPair.ID}, goodClaims()),
	} {
		_, err := verifyNow(t, v, "demo", token)
		wantReason(t, err, ReasonBadSignature, false)
	}
	if _, err := verifyNow(t, v, "demo", signPair(t, ecPair)); err != nil {
		t.Fatal(err)
	}
	if got := server.fetches.Load(); got != 1 {
		t.Errorf("fetches: got %d, want 1", got)
	}
}

// TestCloseRefusesWaiting: Close answers all who wait, and all who come later,
// whether or not Open was called.
func TestCloseRefusesWaiting(t *testing.T) {
	pair := newPair(t, ES256)
	server := newKeyServer(t)
	release := make(chan struct{})
	defer close(release)
	server.serve(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	for _, open := range []bool{false, true} {
		v := newVerifier(t, server.config(), Options{})
		if open {
			v.Open(t.Context())
		}
		waiting := verify(t, v, "demo", signPair(t, pair))
		v.Close()
		wantReason(t, (<-waiting).err, ReasonKeysUnavailable, true)
		_, err := verifyNow(t, v, "demo", signPair(t, pair))
		wantReason(t, err, ReasonKeysUnavailable, true)
		if got := v.Stats().Failures; got != 0 {
			t.Errorf("failures: got %d, want 0: closing is none", got)
		}
	}
}

// TestContextEnds: the end of Open's context is enough to stop.
func TestContextEnds(t *testing.T) {
	server := newKeyServer(t)
	server.fail()
	v := newVerifier(t, server.config(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	v.Open(ctx)
	cancel()
	eventually(t, "refused", func() bool {
		return ReasonOf((<-verify(t, v, "demo", signPair(t, keyPairs()[ES256]))).err) == ReasonKeysUnavailable
	})
}

// roundTrip answers requests without a network, for virtual time.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func response(status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(bytes.NewReader(body))}
}

// TestSchedule: fetches are JWKSRefresh apart; after a failure they come
// sooner, doubling from 1 s up to JWKSMinInterval.
func TestSchedule(t *testing.T) {
	pair := keyPairs()[EdDSA]
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			if n := len(at); n >= 3 && n <= 9 {
				return nil, errors.New("no route")
			}
			return response(http.StatusOK, keySet(pair)), nil
		})}
		cfg := DefaultConfig()
		cfg.JWKSURL = "https://id.example/keys"
		v, err := New(cfg, Options{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		v.Open(t.Context())
		<-time.After(46 * time.Minute)
		synctest.Wait()
		v.Close()
		want := "[0s 15m0s 30m0s 30m1s 30m3s 30m7s 30m15s 30m31s 31m1s 31m31s]"
		if got := fmt.Sprint(at); got != want {
			t.Errorf("fetches at: got %s, want %s", got, want)
		}
	})
}

// TestSlowEndpoint: a fetch that gets no answer ends after JWKSTimeout, also
// in the middle of the body.
func TestSlowEndpoint(t *testing.T) {
	stuck := func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	drip := func(req *http.Request) (*http.Response, error) {
		r := response(http.StatusOK, nil)
		r.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
			select {
			case <-req.Context().Done():
				return 0, req.Context().Err()
			case <-time.After(time.Second):
				return copy(p, " "), nil
			}
		}))
		return r, nil
	}
	for name, answer := range map[string]roundTrip{"no header": stuck, "slow body": drip} {
		t.Run(name, func(t *testing.T) {
			token := signPair(t, keyPairs()[ES256])
			synctest.Test(t, func(t *testing.T) {
				cfg := DefaultConfig()
				cfg.JWKSURL = "https://id.example/keys"
				var log lockedBuffer
				v, err := New(cfg, Options{HTTPClient: &http.Client{Transport: answer}, Log: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				v.Open(t.Context())
				start := time.Now()
				got := make(chan error)
				v.Verify("demo", token, func(_ actors.Identity, err error) { got <- err })
				wantReason(t, <-got, ReasonKeysUnavailable, true)
				if took := time.Since(start); took != DefaultJWKSTimeout {
					t.Errorf("gave up after %v, want %v", took, DefaultJWKSTimeout)
				}
				v.Close()
				if !strings.Contains(log.String(), "no answer within 5s") {
					t.Errorf("log: got %q, want the timeout in it", log.String())
				}
			})
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestLogHasNoSecrets: the URL of a key set may carry a secret in its query.
func TestLogHasNoSecrets(t *testing.T) {
	server := newKeyServer(t)
	cfg := server.config()
	cfg.JWKSURL += "?key=hush"
	server.Close()
	var log lockedBuffer
	v := openVerifier(t, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	v.Close()
	if text := log.String(); strings.Contains(text, "hush") || !strings.Contains(text, "/keys") {
		t.Errorf("log: got %q, want the URL without its query", text)
	}
}
