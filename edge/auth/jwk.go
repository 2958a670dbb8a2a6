package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Limits of a key set.
const (
	maxSetKeys  = 256
	maxSameID   = 4  // keys of one id that a forged token can make us try
	p256Bytes   = 32 // RFC 7518 §6.2.1.2: a coordinate has the full length
	maxExponent = 4  // bytes; crypto/rsa takes no larger public exponent
)

// jwk is one key of a set, RFC 7517 §4: the members that we read or write.
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid,omitempty"`
	Algorithm  string   `json:"alg,omitempty"`
	Use        string   `json:"use,omitempty"`
	Operations []string `json:"key_ops,omitempty"`

	Curve string `json:"crv,omitempty"` // EC and OKP
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"` // EC
	N     string `json:"n,omitempty"` // RSA
	E     string `json:"e,omitempty"`

	Private string `json:"d,omitempty"` // only read, to refuse the key
	Secret  string `json:"k,omitempty"` // likewise
}

// parseKeySet reads a set and says why it left keys out. A set without one
// usable key is an error: far more often a broken endpoint than an issuer that
// wants nobody let in.
func parseKeySet(body []byte) (keyring, []error, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, nil, fmt.Errorf("not a JSON key set: %w", err)
	}
	if len(set.Keys) > maxSetKeys {
		return nil, nil, fmt.Errorf("has %d keys: want at most %d", len(set.Keys), maxSetKeys)
	}
	ring := keyring{}
	var skipped []error
	for i, raw := range set.Keys {
		if err := ring.addJWK(raw); err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
		}
	}
	if len(ring) == 0 {
		return nil, skipped, errors.Join(append([]error{errors.New("has no usable key")}, skipped...)...)
	}
	return ring, skipped, nil
}

func (r keyring) addJWK(raw json.RawMessage) error {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return fmt.Errorf("not a JSON key: %w", err)
	}
	k, err := j.key()
	if err != nil {
		return fmt.Errorf("kid %q: %w", clip(j.ID), err)
	}
	if len(r[j.ID]) == maxSameID {
		return fmt.Errorf("kid %q: want at most %d keys of one id", clip(j.ID), maxSameID)
	}
	r[j.ID] = append(r[j.ID], k)
	return nil
}

// key is the public key, if it is one to verify signatures with.
func (j jwk) key() (key, error) {
	if j.Private != "" || j.Secret != "" {
		return key{}, errors.New("holds a private key: a published one proves nothing")
	}
	if j.Use != "" && j.Use != "sig" {
		return key{}, fmt.Errorf("use %q: want sig", clip(j.Use))
	}
	if len(j.Operations) > 0 && !slices.Contains(j.Operations, "verify") {
		return key{}, errors.New("key_ops lacks verify")
	}
	if len(j.ID) > maxKeyIDBytes {
		return key{}, fmt.Errorf("kid has %d bytes: want at most %d", len(j.ID), maxKeyIDBytes)
	}
	public, err := j.public()
	if err != nil {
		return key{}, err
	}
	k, err := publicKey(public)
	if err != nil {
		return key{}, err
	}
	if j.Algorithm == "" || j.Algorithm == k.method.Alg() || j.Algorithm == "Ed25519" && k.method.Alg() == EdDSA {
		return k, nil
	}
	return key{}, fmt.Errorf("alg %q: want %s", clip(j.Algorithm), k.method.Alg())
}

func (j jwk) public() (crypto.PublicKey, error) {
	switch j.Type {
	case "RSA":
		return j.rsa()
	case "EC":
		return j.ecdsa()
	case "OKP":
		return j.ed25519()
	default:
		return nil, fmt.Errorf("kty %q: want RSA, EC or OKP", clip(j.Type))
	}
}

func (j jwk) rsa() (*rsa.PublicKey, error) {
	n, errN := base64url.DecodeString(j.N)
	e, errE := base64url.DecodeString(j.E)
	if errN != nil || errE != nil || len(e) == 0 || len(e) > maxExponent {
		return nil, errors.New("n or e is not a base64url number")
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
		return nil, fmt.Errorf("e is %d: want an odd number of 3 to 2^31-1", exponent)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
}

func (j jwk) ecdsa() (*ecdsa.PublicKey, error) {
	if j.Curve != "P-256" {
		return nil, fmt.Errorf("crv %q: want P-256", clip(j.Curve))
	}
	x, errX := base64url.DecodeString(j.X)
	y, errY := base64url.DecodeString(j.Y)
	if errX != nil || errY != nil || len(x) != p256Bytes || len(y) != p256Bytes {
		return nil, fmt.Errorf("x or y is not base64url of %d bytes", p256Bytes)
	}
	// 4 marks an uncompressed point, SEC 1 §2.3.3. The parser checks that it
	// is on the curve.
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
}

func (j jwk) ed25519() (ed25519.PublicKey, error) {
	if j.Curve != "Ed25519" {
		return nil, fmt.Errorf("crv %q: want Ed25519", clip(j.Curve))
	}
	x, err := base64url.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("x is not base64url of %d bytes", ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(x), nil
}

// newJWK is the inverse of public, with its thumbprint as id.
func newJWK(public crypto.PublicKey) (jwk, error) {
	j, err := bareJWK(public)
	if err != nil {
		return jwk{}, err
	}
	if j.ID, err = j.thumbprint(); err != nil {
		return jwk{}, err
	}
	k, err := publicKey(public)
	if err != nil {
		return jwk{}, err
	}
	j.Algorithm, j.Use = k.method.Alg(), "sig"
	return j, nil
}

func bareJWK(public crypto.PublicKey) (jwk, error) {
	enc := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *rsa.PublicKey:
		return jwk{Type: "RSA", N: enc(k.N.Bytes()), E: enc(big.NewInt(int64(k.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil || len(point) != 1+2*p256Bytes {
			return jwk{}, fmt.Errorf("curve %s: want P-256", k.Curve.Params().Name)
		}
		return jwk{Type: "EC", Curve: "P-256", X: enc(point[1 : 1+p256Bytes]), Y: enc(point[1+p256Bytes:])}, nil
	case ed25519.PublicKey:
		return jwk{Type: "OKP", Curve: "Ed25519", X: enc(k)}, nil
	default:
		return jwk{}, fmt.Errorf("key type %T: want RSA, P-256 or Ed25519", public)
	}
}

// thumbprint is RFC 7638: the hash of the required members in the order of
// their names. Go sorts the names of a map.
func (j jwk) thumbprint() (string, error) {
	members := map[string]string{"kty": j.Type}
	for name, value := range map[string]string{"crv": j.Curve, "x": j.X, "y": j.Y, "n": j.N, "e": j.E} {
		if value != "" {
			members[name] = value
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
