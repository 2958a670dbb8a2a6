package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms, by their names in RFC 7518 §3.1 and RFC 8037 §3.1.
const (
	HS256 = "HS256"
	ES256 = "ES256"
	RS256 = "RS256"
	EdDSA = "EdDSA"
)

// Algorithms lists what a key may be used for.
func Algorithms() []string { return []string{HS256, ES256, RS256, EdDSA} }

// RSA key sizes. Below is forgeable (NIST SP 800-131A); above, one forged
// token costs the node a millisecond.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// key verifies tokens of exactly one algorithm.
type key struct {
	method jwt.SigningMethod
	// material is []byte, *ecdsa.PublicKey, *rsa.PublicKey or
	// ed25519.PublicKey, as method wants it.
	material any
}

// keyring finds keys by id; "" holds those without one. Immutable once built.
// An id has more than one key only when the issuer says so: RFC 7517 §4.5
// allows it for keys of different types.
type keyring map[string][]key

// publicKey wraps a public key, refusing those that are weak or of a type that
// no algorithm here takes.
func publicKey(public crypto.PublicKey) (key, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return key{}, fmt.Errorf("RSA key has %d bits: want %d to %d", n, minRSABits, maxRSABits)
		}
		return key{jwt.SigningMethodRS256, k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("curve %s: want P-256", k.Curve.Params().Name)
		}
		return key{jwt.SigningMethodES256, k}, nil
	case ed25519.PublicKey:
		return key{jwt.SigningMethodEdDSA, k}, nil
	default:
		return key{}, fmt.Errorf("key type %T: want RSA, P-256 or Ed25519", public)
	}
}

// staticKeys is the ring of all keys that need no fetching.
func (c Config) staticKeys() (keyring, error) {
	if len(c.PublicKeys) > maxStaticKeys {
		return nil, fmt.Errorf("auth: PublicKeys has %d entries: want at most %d", len(c.PublicKeys), maxStaticKeys)
	}
	ring := keyring{}
	for i, p := range c.PublicKeys {
		if err := c.addPublicKey(ring, p); err != nil {
			return nil, fmt.Errorf("auth: PublicKeys[%d] %q: %w", i, clip(p.ID), err)
		}
	}
	if n := len(ring[""]); n > maxUnnamed {
		return nil, fmt.Errorf("auth: PublicKeys has %d entries without ID: want at most %d", n, maxUnnamed)
	}
	return ring, c.addSecrets(ring)
}

func (c Config) addPublicKey(ring keyring, p PublicKey) error {
	if len(p.ID) > maxKeyIDBytes {
		return fmt.Errorf("ID has %d bytes: want at most %d", len(p.ID), maxKeyIDBytes)
	}
	if p.ID == "" && c.JWKSURL != "" {
		return fmt.Errorf("has no ID: want one, since JWKSURL is set too")
	}
	if p.ID != "" && len(ring[p.ID]) > 0 {
		return fmt.Errorf("has the ID of another: want each once")
	}
	k, err := parsePublicPEM(p.PEM)
	if err != nil {
		return err
	}
	if alg := k.method.Alg(); !c.allows(alg) {
		return fmt.Errorf("is a key for %s, which Algorithms %v leaves out", alg, c.Algorithms)
	}
	ring[p.ID] = append(ring[p.ID], k)
	return nil
}

// addSecrets puts the current secret before the previous one: nearly all
// tokens are signed with it.
func (c Config) addSecrets(ring keyring) error {
	if c.HMACSecret != "" && !c.allows(HS256) {
		return fmt.Errorf("auth: HMACSecret is a key for HS256, which Algorithms %v leaves out", c.Algorithms)
	}
	for _, secret := range []string{c.HMACSecret, c.HMACPrevious} {
		if secret != "" {
			ring[""] = append(ring[""], key{jwt.SigningMethodHS256, []byte(secret)})
		}
	}
	return nil
}

func parsePublicPEM(text string) (key, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return key{}, fmt.Errorf("holds no PEM block: want -----BEGIN PUBLIC KEY-----")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return key{}, fmt.Errorf("holds more than one PEM block: want one key per entry")
	}
	public, err := parsePublicBlock(block)
	if err != nil {
		return key{}, err
	}
	return publicKey(public)
}

func parsePublicBlock(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	default:
		// Most of all a private key: a node that only verifies must not hold
		// one.
		return nil, fmt.Errorf("holds a %s: want a PUBLIC KEY", block.Type)
	}
}

// find lists the keys that may have signed a token with this header: those of
// its key id, else those without one. named says that the id is known, whether
// or not its algorithm fits.
func (r keyring) find(h header) (keys []key, named bool) {
	if keys, named = r.exact(h); named {
		return keys, h.keyID != ""
	}
	return ofAlgorithm(r[""], h.alg), false
}

// exact is find without the second choice: in a key set, an unknown id means
// that the set is old and not that any key will do.
func (r keyring) exact(h header) (keys []key, named bool) {
	all := r[h.keyID]
	return ofAlgorithm(all, h.alg), len(all) > 0
}

func ofAlgorithm(keys []key, alg string) []key {
	for i, k := range keys {
		if k.method.Alg() != alg {
			return slowOfAlgorithm(keys, i, alg)
		}
	}
	return keys // the usual case, without a copy
}

func slowOfAlgorithm(keys []key, same int, alg string) []key {
	fit := keys[:same:same]
	for _, k := range keys[same:] {
		if k.method.Alg() == alg {
			fit = append(fit, k)
		}
	}
	return fit
}
