package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"hawser/actors"
)

// Options are what a Verifier gets from outside. The zero value works.
type Options struct {
	// Clock judges expiry and spaces fetches. Nil: the system's.
	Clock actors.Clock
	// HTTPClient fetches the key set. Nil: one of its own, which follows a
	// redirect only from https to https. Config.JWKSTimeout applies to either.
	HTTPClient *http.Client
	// Log gets key set changes and failed fetches. Nil: none.
	Log *slog.Logger
	// Observe is called once per verification with its outcome, before done
	// is, on the same goroutine. Nil: nobody counts.
	Observe func(Reason)
}

// Verifier checks client tokens. Verify, Stats and Reload may be called from
// any goroutine, at any time.
type Verifier struct {
	// Immutable after New.
	clock   actors.Clock
	observe func(Reason)
	remote  *remoteKeys // nil without Config.JWKSURL

	rules atomic.Pointer[rules] // swapped by Reload
}

var _ actors.Authenticator = (*Verifier)(nil)

// rules is a Config made ready for use. Immutable.
type rules struct {
	Config
	keys       keyring
	algorithms []string // that any key, here or in the key set, may have
}

// New makes a verifier, or says which field of cfg cannot work. Without
// Config.JWKSURL it is ready at once; with it, Open starts the fetching.
func New(cfg Config, opts Options) (*Verifier, error) {
	r, err := newRules(cfg)
	if err != nil {
		return nil, err
	}
	if opts.Clock == nil {
		opts.Clock = systemClock{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Observe == nil {
		opts.Observe = func(Reason) {}
	}
	v := &Verifier{clock: opts.Clock, observe: opts.Observe}
	v.rules.Store(r)
	if cfg.JWKSURL != "" {
		v.remote = newRemoteKeys(cfg, opts)
	}
	return v, nil
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func newRules(cfg Config) (*rules, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	keys, err := cfg.staticKeys()
	if err != nil {
		return nil, err
	}
	return &rules{Config: cfg, keys: keys, algorithms: usable(cfg, keys)}, nil
}

// usable lists the algorithms that some key may have: a token with another is
// refused before anyone looks for its key.
func usable(cfg Config, keys keyring) []string {
	var algs []string
	for _, alg := range Algorithms() {
		fromSet := cfg.JWKSURL != "" && alg != HS256 // symmetric keys are not published
		if cfg.allows(alg) && (fromSet || hasAlgorithm(keys, alg)) {
			algs = append(algs, alg)
		}
	}
	return algs
}

func hasAlgorithm(ring keyring, alg string) bool {
	for _, keys := range ring {
		if slices.ContainsFunc(keys, func(k key) bool { return k.method.Alg() == alg }) {
			return true
		}
	}
	return false
}

// Open starts fetching the key set, if there is one, until Close or until ctx
// ends. It does not wait for the first fetch: tokens that need it do. It
// panics when called twice or after Close.
func (v *Verifier) Open(ctx context.Context) {
	if v.remote != nil {
		v.remote.open(ctx)
	}
}

// Close stops the fetching and waits for it. Verifications that wait for a key
// are told 503. Keys that are known stay usable.
func (v *Verifier) Close() {
	if v.remote != nil {
		v.remote.close()
	}
}

// Reload takes over secrets, public keys and rules from cfg for tokens that
// come later; connections that are open stay. The key set itself cannot change
// this way: a cfg with another JWKSURL or other times for it is refused, and
// so is one that does not validate.
func (v *Verifier) Reload(cfg Config) error {
	r, err := newRules(cfg)
	if err != nil {
		return err
	}
	old := v.rules.Load()
	if cfg.JWKSURL != old.JWKSURL || cfg.JWKSRefresh != old.JWKSRefresh ||
		cfg.JWKSMinInterval != old.JWKSMinInterval || cfg.JWKSTimeout != old.JWKSTimeout {
		return fmt.Errorf("auth: reload: JWKSURL and its times cannot change while running: restart the node")
	}
	v.rules.Store(r)
	return nil
}

// Stats says how the key set is. Zero without Config.JWKSURL.
func (v *Verifier) Stats() KeySetStats {
	if v.remote == nil {
		return KeySetStats{}
	}
	return v.remote.snapshot()
}

// Verify implements actors.Authenticator. done gets an *Error for a token that
// is refused. It is called before Verify returns, unless the token names a key
// that has to be fetched first: then later, on the fetching goroutine, so it
// must not block. It is called exactly once in either case.
func (v *Verifier) Verify(tenant, text string, done func(actors.Identity, error)) {
	r := v.rules.Load()
	if text == "" {
		v.finish(done, actors.Identity{}, r.anonymous())
		return
	}
	t, err := parseToken(text, r.MaxTokenBytes)
	if err != nil {
		v.finish(done, actors.Identity{}, err)
		return
	}
	keys, err := v.find(r, t.header)
	if err != nil {
		v.finish(done, actors.Identity{}, err)
		return
	}
	if len(keys) == 0 && v.remote != nil {
		v.verifyLater(r, t, tenant, done)
		return
	}
	id, err := r.judge(t, keys, tenant, v.clock.Now())
	v.finish(done, id, err)
}

// verifyLater waits for the key set to tell of the token's key. It is apart
// from Verify, so that its closure costs the usual path nothing.
func (v *Verifier) verifyLater(r *rules, t token, tenant string, done func(actors.Identity, error)) {
	v.remote.await(t.header.keyID, func(err error) {
		var id actors.Identity
		var keys []key
		if err == nil {
			keys, err = v.find(r, t.header)
		}
		if err == nil {
			id, err = r.judge(t, keys, tenant, v.clock.Now())
		}
		v.finish(done, id, err)
	})
}

func (v *Verifier) finish(done func(actors.Identity, error), id actors.Identity, err error) {
	v.observe(ReasonOf(err))
	done(id, err)
}

func (r *rules) anonymous() error {
	if r.AllowAnonymous {
		return nil
	}
	return refuse(ReasonMissing, "token missing: this server lets no one in without")
}

// find looks a token's keys up, first among the configured ones. No keys and
// no error means that none has been heard of.
func (v *Verifier) find(r *rules, h header) ([]key, error) {
	if !slices.Contains(r.algorithms, h.alg) {
		return nil, r.refuseAlgorithm(h.alg)
	}
	keys, named := r.keys.find(h)
	if len(keys) == 0 && !named && v.remote != nil {
		keys, named = v.remote.ring().exact(h)
	}
	if named && len(keys) == 0 {
		return nil, refuse(ReasonBadSignature, "token algorithm %s is not that of its key %q", h.alg, clip(h.keyID))
	}
	return keys, nil
}

func (r *rules) refuseAlgorithm(alg string) *Error {
	switch {
	case len(r.algorithms) == 0:
		return refuse(ReasonUnknownKey, "token cannot be checked: this server has no keys and takes only clients without one")
	case strings.EqualFold(alg, "none") || alg == "":
		return refuse(ReasonBadSignature, "token is unsigned: want one of %s", strings.Join(r.algorithms, ", "))
	default:
		return refuse(ReasonBadSignature, "token algorithm %q is not accepted: want one of %s",
			clip(alg), strings.Join(r.algorithms, ", "))
	}
}

// judge checks signature and claims.
func (r *rules) judge(t token, keys []key, tenant string, now time.Time) (actors.Identity, error) {
	if len(keys) == 0 {
		return actors.Identity{}, unknownKey(t.header.keyID)
	}
	if !signedByOne(t, keys) {
		return actors.Identity{}, refuse(ReasonBadSignature, "token signature does not verify")
	}
	c, err := parseClaims(t.payload)
	if err != nil {
		return actors.Identity{}, refuse(ReasonBadClaims, "token %v", err)
	}
	if err := r.checkTimes(c, now); err != nil {
		return actors.Identity{}, err
	}
	if err := r.checkIssuer(c); err != nil {
		return actors.Identity{}, err
	}
	if err := r.checkTenant(c, tenant); err != nil {
		return actors.Identity{}, err
	}
	return actors.Identity{User: c.user, Expires: r.until(c), Subscribe: c.subscribe, Publish: c.publish}, nil
}

// until is when the session must end or have a new token. The leeway is in it:
// without, a token accepted during its leeway would end at once.
func (r *rules) until(c claims) time.Time {
	if c.expires.IsZero() {
		return time.Time{}
	}
	return c.expires.Add(r.Leeway)
}

func unknownKey(keyID string) *Error {
	if keyID == "" {
		return refuse(ReasonUnknownKey, "token names no key: want a kid in its header")
	}
	return refuse(ReasonUnknownKey, "token has an unknown key id %q", clip(keyID))
}

func signedByOne(t token, keys []key) bool {
	return slices.ContainsFunc(keys, func(k key) bool {
		return k.method.Verify(t.signed, t.signature, k.material) == nil
	})
}

func (r *rules) checkTimes(c claims, now time.Time) error {
	if c.expires.IsZero() && r.RequireExpiry {
		return refuse(ReasonBadClaims, "token has no exp: want an expiry")
	}
	if past := now.Sub(c.expires); !c.expires.IsZero() && past >= r.Leeway {
		return refuse(ReasonExpired, "token expired %s ago", about(past))
	}
	if ahead := c.notBefore.Sub(now); !c.notBefore.IsZero() && ahead > r.Leeway {
		return refuse(ReasonNotYet, "token is not good before %s from now", about(ahead))
	}
	if ahead := c.issuedAt.Sub(now); !c.issuedAt.IsZero() && ahead > r.Leeway {
		return refuse(ReasonNotYet, "token was issued %s in the future: compare the clocks", about(ahead))
	}
	return nil
}

func (r *rules) checkIssuer(c claims) error {
	if r.Issuer != "" && c.issuer != r.Issuer {
		return refuse(ReasonWrongIssuer, "token is from issuer %q, which is not accepted", clip(c.issuer))
	}
	return nil
}

// audiencePrefix before a tenant keeps the audiences of hawser apart from
// those of other services at the same issuer.
const audiencePrefix = "hawser:"

func (r *rules) checkTenant(c claims, tenant string) error {
	if r.Audience != "" && !slices.Contains(c.audience, r.Audience) {
		return refuse(ReasonWrongAudience, "token is for %s, not for audience %q", quoted(c.audience), r.Audience)
	}
	if c.tenants != nil && !slices.Contains(c.tenants, tenant) {
		return refuse(ReasonWrongTenant, "token is for tenant %s, not for %q", quoted(c.tenants), clip(tenant))
	}
	if r.Audience != "" && c.tenants != nil {
		return nil
	}
	if !namesTenant(c.audience, tenant) {
		return refuse(ReasonWrongTenant, "token is for %s, not for tenant %q: want aud %q",
			quoted(c.audience), clip(tenant), clip(audiencePrefix+tenant))
	}
	return nil
}

func namesTenant(audience []string, tenant string) bool {
	return tenant != "" && slices.ContainsFunc(audience, func(a string) bool {
		return strings.TrimPrefix(a, audiencePrefix) == tenant
	})
}

// quoted shows the first of a list that a stranger wrote.
func quoted(list []string) string {
	switch len(list) {
	case 0:
		return "nobody"
	case 1:
		return fmt.Sprintf("%q", clip(list[0]))
	default:
		return fmt.Sprintf("%q and %d more", clip(list[0]), len(list)-1)
	}
}
