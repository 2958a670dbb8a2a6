package auth

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"
)

// Defaults of Config.
const (
	DefaultJWKSRefresh     = 15 * time.Minute
	DefaultJWKSMinInterval = 30 * time.Second
	DefaultJWKSTimeout     = 5 * time.Second // below the client's connect timeout of 10s
	DefaultLeeway          = 30 * time.Second
	DefaultMaxTokenBytes   = 4096
)

// Limits of Config.
const (
	minSecretBytes = 32               // RFC 7518 §3.2: an HS256 key is at least as long as its hash
	maxLeeway      = 10 * time.Minute // more is a broken clock, to be repaired and not forgiven
	minTokenBytes  = 256              // no signed token with our claims is shorter
	maxTokenBytes  = 64 << 10
	maxStaticKeys  = 16
	maxUnnamed     = 4 // public keys without an id are tried one after the other
)

// Config says which tokens are good. Start from DefaultConfig and add at least
// one source of keys: HMACSecret, PublicKeys or JWKSURL. Several may be used
// together.
type Config struct {
	// HMACSecret verifies HS256 tokens. At least 32 bytes. Whoever holds it
	// can also mint tokens, so prefer a public key when the issuer is another
	// party. Default empty: HS256 is not accepted.
	HMACSecret string
	// HMACPrevious is the secret before the last rotation; tokens signed with
	// it stay good. Drop it after the longest expiry has passed. Default empty.
	HMACPrevious string

	// PublicKeys verify ES256, RS256 and EdDSA tokens, by the type of each
	// key. At most 16.
	PublicKeys []PublicKey

	// JWKSURL is where the issuer publishes its keys (RFC 7517). https, or
	// http on loopback. Default empty: no key set.
	JWKSURL string
	// JWKSRefresh is how often the key set is fetched. Default 15m, at least
	// 1s. Shorter drops a withdrawn key sooner. New keys do not wait for it: a token that
	// names an unknown one causes a fetch.
	JWKSRefresh time.Duration
	// JWKSMinInterval is the least time between two fetches caused by unknown
	// key ids, however many tokens name them. Default 30s. Shorter finds a new
	// key sooner when someone forges key ids at the same time; longer spares
	// the issuer. At most 1h.
	JWKSMinInterval time.Duration
	// JWKSTimeout bounds one fetch, connection and body included. Default
	// 5s, at most 1m. Keep it below the time a client is given to connect.
	JWKSTimeout time.Duration

	// Algorithms narrows what keys may be used for: any of HS256, ES256,
	// RS256, EdDSA. Default empty: whatever the configured keys are for.
	Algorithms []string

	// Issuer is what iss must be. Default empty: any.
	Issuer string
	// Audience is what aud must hold. With it, the tenant may come from the
	// claim "tenant" as well as from aud. Default empty: aud must name the
	// tenant (see the package comment).
	Audience string

	// Leeway forgives clocks that differ, for exp, nbf and iat. Default 30s,
	// at most 10m.
	Leeway time.Duration
	// RequireExpiry refuses tokens without exp. Default true. Without exp a
	// stolen token is good for ever.
	RequireExpiry bool
	// AllowAnonymous lets clients without a token in, with no user and no
	// permissions. Default false. A token that is sent must still be good.
	AllowAnonymous bool
	// MaxTokenBytes is the longest token that is parsed. Default 4096, 256 to
	// 65536. Longer lets providers send more claims that nobody reads here.
	MaxTokenBytes int
}

// PublicKey is one key that verifies tokens.
type PublicKey struct {
	// ID is the kid of the tokens it signs. Empty: it is tried for each token
	// of its algorithm whose kid names no other key. At most 4 keys may be
	// without one, and none beside a JWKSURL, where an unknown kid means that
	// the key set is to be fetched.
	ID string
	// PEM is a PKIX "PUBLIC KEY", PKCS #1 "RSA PUBLIC KEY" or a
	// "CERTIFICATE", of which only the key is used. RSA of at least 2048 bits,
	// P-256 or Ed25519.
	PEM string
}

// DefaultConfig is every default. It has no keys, so it validates only once
// some are added.
func DefaultConfig() Config {
	return Config{
		JWKSRefresh:     DefaultJWKSRefresh,
		JWKSMinInterval: DefaultJWKSMinInterval,
		JWKSTimeout:     DefaultJWKSTimeout,
		Leeway:          DefaultLeeway,
		RequireExpiry:   true,
		MaxTokenBytes:   DefaultMaxTokenBytes,
	}
}

// Validate reports the first field that cannot work, with its value and range.
// It never repeats a secret.
func (c Config) Validate() error {
	for _, check := range []func() error{c.checkSources, c.checkJWKS, c.checkRules} {
		if err := check(); err != nil {
			return err
		}
	}
	_, err := c.staticKeys()
	return err
}

func (c Config) checkSources() error {
	if c.HMACSecret == "" && len(c.PublicKeys) == 0 && c.JWKSURL == "" && !c.AllowAnonymous {
		return fmt.Errorf("auth: no keys: set HMACSecret, PublicKeys or JWKSURL, or AllowAnonymous")
	}
	if c.HMACSecret != "" && len(c.HMACSecret) < minSecretBytes {
		return fmt.Errorf("auth: HMACSecret has %d bytes: want at least %d", len(c.HMACSecret), minSecretBytes)
	}
	if c.HMACPrevious == "" {
		return nil
	}
	if c.HMACSecret == "" {
		return fmt.Errorf("auth: HMACPrevious is set without HMACSecret: want the current secret too")
	}
	if len(c.HMACPrevious) < minSecretBytes {
		return fmt.Errorf("auth: HMACPrevious has %d bytes: want at least %d", len(c.HMACPrevious), minSecretBytes)
	}
	return nil
}

func (c Config) checkJWKS() error {
	if c.JWKSURL == "" {
		return nil
	}
	if err := checkKeySetURL(c.JWKSURL); err != nil {
		return err
	}
	if c.JWKSRefresh < time.Second {
		return fmt.Errorf("auth: JWKSRefresh %v: want at least 1s", c.JWKSRefresh)
	}
	if c.JWKSMinInterval <= 0 || c.JWKSMinInterval > time.Hour {
		return fmt.Errorf("auth: JWKSMinInterval %v: want above 0 and at most 1h", c.JWKSMinInterval)
	}
	if c.JWKSTimeout <= 0 || c.JWKSTimeout > time.Minute {
		return fmt.Errorf("auth: JWKSTimeout %v: want above 0 and at most 1m", c.JWKSTimeout)
	}
	return nil
}

// checkKeySetURL refuses plain http: whoever is on the path could put a key of
// their own into the set.
func checkKeySetURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return fmt.Errorf("auth: JWKSURL %q: want a URL such as https://id.example/.well-known/jwks.json", raw)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("auth: JWKSURL %q: want https, or http on loopback", raw)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) checkRules() error {
	for _, alg := range c.Algorithms {
		if !slices.Contains(Algorithms(), alg) {
			return fmt.Errorf("auth: Algorithms has %q: want any of %v", alg, Algorithms())
		}
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		return fmt.Errorf("auth: Leeway %v: want 0 to %v", c.Leeway, maxLeeway)
	}
	if c.MaxTokenBytes < minTokenBytes || c.MaxTokenBytes > maxTokenBytes {
		return fmt.Errorf("auth: MaxTokenBytes %d: want %d to %d", c.MaxTokenBytes, minTokenBytes, maxTokenBytes)
	}
	return nil
}

// allows reports whether keys of this algorithm may be used.
func (c Config) allows(alg string) bool {
	return len(c.Algorithms) == 0 || slices.Contains(c.Algorithms, alg)
}
