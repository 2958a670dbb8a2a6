package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"hawser/actors"
)

const (
	// maxWaiting bounds the verifications that wait for one fetch. At 4 KiB a
	// token that is 4 MiB, and completing them all takes about 0.1 s of one
	// core (BenchmarkVerify).
	maxWaiting = 1024
	// maxKeySetBytes bounds the body of a key set. Real ones have 1 to 20 KiB.
	maxKeySetBytes = 1 << 20
	// maxHeaderBytes bounds the response header that our own client reads.
	maxHeaderBytes = 64 << 10
	// firstRetry is the pause after a first failed fetch; it doubles up to
	// Config.JWKSMinInterval.
	firstRetry = time.Second
	// maxRedirects of our own HTTP client.
	maxRedirects = 3
)

// KeySetStats says how the key set is.
type KeySetStats struct {
	Keys    int       // usable keys in the last good set
	Fetched time.Time // when that set was fetched; zero before the first
	// Fetches and Failures count since New. Keys stay usable across failures.
	Fetches, Failures uint64
	Waiting           int // verifications that wait for a fetch; at most 1024
}

// remoteKeys is the key set at a URL. Verifications read its ring without a
// lock; those whose key it lacks await the next fetch.
//
// keyfunc and jwkset were weighed: they hold the verifying goroutine for the
// length of a fetch, and their limiter reads the system clock.
type remoteKeys struct {
	// Immutable after newRemoteKeys.
	url         string
	refresh     time.Duration
	minInterval time.Duration
	timeout     time.Duration
	client      *http.Client
	ownClient   bool // close its idle connections at the end
	clock       actors.Clock
	log         *slog.Logger
	wake        chan struct{} // one slot; await fills it; never closed

	current atomic.Pointer[keyring] // nil before the first good fetch

	mu sync.Mutex
	// Guarded by mu.
	waiting []waiter // at most maxWaiting; overflow is ReasonOverflow
	// missing are the key ids that the last good fetch was made for and did
	// not bring: the bounded negative cache. Only waiters get in, so it is at
	// most maxWaiting long, and each good fetch replaces it.
	missing map[string]struct{}
	asked   time.Time // when an unknown key id last caused a fetch
	due     bool      // a fetch is asked for and has not begun
	running bool      // a fetch has begun and not ended
	closed  bool
	stats   KeySetStats

	stop   context.CancelFunc // nil before open
	doneCh chan struct{}      // made by open, closed by refreshLoop, last of all
}

// waiter is a verification that waits for a fetch.
type waiter struct {
	keyID string
	// late says that the fetch had begun before the token came: that it did
	// not bring the key proves nothing, as the key may be younger.
	late bool
	then func(error)
}

func newRemoteKeys(cfg Config, opts Options) *remoteKeys {
	r := &remoteKeys{
		url:     cfg.JWKSURL,
		refresh: cfg.JWKSRefresh, minInterval: cfg.JWKSMinInterval, timeout: cfg.JWKSTimeout,
		client: opts.HTTPClient, clock: opts.Clock, log: opts.Log,
		wake: make(chan struct{}, 1),
	}
	if r.client == nil {
		r.client, r.ownClient = newHTTPClient(), true
	}
	return r
}

func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeaderBytes,
			IdleConnTimeout:        time.Minute, // below JWKSRefresh: no socket waits for the next fetch
		},
		CheckRedirect: checkRedirect,
	}
}

// checkRedirect keeps what Config.Validate made sure of: no keys over plain
// http from another machine.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return checkKeySetURL(req.URL.String())
}

func (r *remoteKeys) open(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.doneCh != nil {
		stop()
		panic("auth: Open twice or after Close")
	}
	r.stop, r.doneCh = stop, make(chan struct{})
	r.due = true // the first fetch
	go r.refreshLoop(ctx)
}

func (r *remoteKeys) close() {
	r.mu.Lock()
	r.closed = true
	stop, doneCh := r.stop, r.doneCh
	r.mu.Unlock()
	if doneCh != nil {
		stop()
		<-doneCh
	}
	r.settle(nil, errClosed)
	if r.ownClient {
		r.client.CloseIdleConnections()
	}
}

var errClosed = errors.New("server is closing")

// ring is the last good key set; empty before the first.
func (r *remoteKeys) ring() keyring {
	if ring := r.current.Load(); ring != nil {
		return *ring
	}
	return nil
}

func (r *remoteKeys) snapshot() KeySetStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Waiting = len(r.waiting)
	return s
}

// await calls then once: with nil when it is worth looking for the key again,
// else with the reason why the token is refused. It does so before it returns
// when no fetch is needed or none may be made now, otherwise after the fetch,
// on refreshLoop.
func (r *remoteKeys) await(keyID string, then func(error)) {
	r.mu.Lock()
	queued, err := r.enqueue(keyID, then)
	r.mu.Unlock()
	if !queued {
		then(err)
	}
}

// enqueue decides under mu. Whatever the number of forged key ids, they cause
// at most one fetch per minInterval.
func (r *remoteKeys) enqueue(keyID string, then func(error)) (queued bool, err error) {
	loaded := r.current.Load() != nil
	_, missing := r.missing[keyID]
	now := r.clock.Now()
	open := r.asked.IsZero() || now.Sub(r.asked) >= r.minInterval
	switch {
	case r.closed:
		return false, unavailable()
	case len(r.ring()[keyID]) > 0:
		return false, nil // it came while we took the lock
	case loaded && keyID == "":
		return false, unknownKey(keyID)
	case missing && !open:
		return false, unknownKey(keyID)
	case len(r.waiting) >= maxWaiting:
		return false, postpone(ReasonOverflow, "too many tokens wait for the key set: try again")
	case r.due || r.running:
		// One fetch serves all.
	case !open:
		return false, tooSoon(loaded, r.minInterval-now.Sub(r.asked))
	default:
		r.asked, r.due = now, true
		r.wake <- struct{}{} // has room: due was false
	}
	r.waiting = append(r.waiting, waiter{keyID, r.running, then})
	return true, nil
}

// tooSoon is for a key id that the last fetch was not made for. The key may be
// younger than that fetch, so the token may well be good: temporary.
func tooSoon(loaded bool, wait time.Duration) *Error {
	reason := ReasonUnknownKey
	if !loaded {
		reason = ReasonKeysUnavailable
	}
	return postpone(reason, "token key id is not known yet: try again in %s", about(wait+time.Second))
}

// unavailable does not tell clients the cause, which may name hosts; the log
// has it.
func unavailable() *Error {
	return postpone(ReasonKeysUnavailable, "token keys cannot be fetched now: try again")
}

// refreshLoop fetches at once, then every refresh and whenever await asks; a
// failed fetch is tried again sooner. It ends with ctx.
func (r *remoteKeys) refreshLoop(ctx context.Context) {
	defer close(r.doneCh)
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			r.refuseAll()
			return
		case <-r.wake:
		case <-timer.C:
		}
		if r.fetchOnce(ctx) == nil {
			failures = 0
		} else {
			failures++
		}
		timer.Reset(r.pause(failures))
	}
}

// refuseAll also marks the set closed, for when ctx ends before Close.
func (r *remoteKeys) refuseAll() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.settle(nil, errClosed)
}

// pause is the time to the next fetch if nobody asks for one sooner.
func (r *remoteKeys) pause(failures int) time.Duration {
	if failures == 0 {
		return r.refresh
	}
	const doublings = 10 // then above any sensible minInterval
	return min(firstRetry<<min(failures-1, doublings), r.minInterval, r.refresh)
}

func (r *remoteKeys) fetchOnce(ctx context.Context) error {
	r.begin()
	ring, err := r.fetch(ctx)
	if ctx.Err() != nil {
		err = errClosed
	}
	r.report(ring, err)
	r.settle(ring, err)
	return err
}

// begin takes the request for a fetch, if there is one: this fetch answers it.
func (r *remoteKeys) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due, r.running = false, true
	r.stats.Fetches++
	select {
	case <-r.wake:
	default:
	}
}

// settle publishes the outcome of a fetch and completes all that waited.
func (r *remoteKeys) settle(ring keyring, err error) {
	r.mu.Lock()
	waiting := r.waiting
	r.waiting, r.running = nil, false
	switch {
	case errors.Is(err, errClosed):
	case err != nil:
		r.stats.Failures++
	default:
		r.current.Store(&ring)
		r.missing = missingFrom(ring, waiting)
		r.stats.Keys, r.stats.Fetched = ring.size(), r.clock.Now()
	}
	r.mu.Unlock()
	for _, w := range waiting {
		r.complete(w, ring, err)
	}
}

func missingFrom(ring keyring, waiting []waiter) map[string]struct{} {
	missing := map[string]struct{}{}
	for _, w := range waiting {
		if len(ring[w.keyID]) == 0 && !w.late {
			missing[w.keyID] = struct{}{}
		}
	}
	return missing
}

// complete tells a waiter the outcome. An issuer publishes a key before it
// signs with it, so a fetch that began after the token came settles the matter.
// One that ran already does not: a late waiter may cause one more, if it is
// time for one, and is not late then.
func (r *remoteKeys) complete(w waiter, ring keyring, err error) {
	switch {
	case err != nil:
		w.then(unavailable())
	case len(ring[w.keyID]) > 0:
		w.then(nil)
	case w.late:
		r.await(w.keyID, w.then)
	default:
		w.then(unknownKey(w.keyID))
	}
}

func (ring keyring) size() int {
	n := 0
	for _, keys := range ring {
		n += len(keys)
	}
	return n
}

// report logs what an operator would date an incident by.
func (r *remoteKeys) report(ring keyring, err error) {
	if errors.Is(err, errClosed) {
		return
	}
	if err != nil {
		r.log.Warn("key set not fetched; the last good one stays in use", "url", withoutQuery(r.url), "keys", r.ring().size(), "err", err)
		return
	}
	if !reflect.DeepEqual(r.ring(), ring) {
		r.log.Info("key set changed", "url", withoutQuery(r.url), "keys", ring.size())
	}
}

// withoutQuery is for logs: queries and user names may be secrets.
func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (r *remoteKeys) fetch(ctx context.Context) (keyring, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("no answer within %v", r.timeout))
	defer cancel()
	body, err := r.get(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("auth: fetch key set: %w", err)
	}
	ring, skipped, err := parseKeySet(body)
	if err != nil {
		return nil, fmt.Errorf("auth: key set %w", err)
	}
	for _, why := range skipped {
		r.log.Debug("key left out of key set", "url", withoutQuery(r.url), "err", why)
	}
	return ring, nil
}

func (r *remoteKeys) get(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json") // RFC 7517 §8.5
	resp, err := r.client.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return nil, wrapped.Err // without the URL, see withoutQuery
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s: want 200", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err == nil && len(body) > maxKeySetBytes {
		err = fmt.Errorf("body has more than %d bytes", maxKeySetBytes)
	}
	return body, err
}
