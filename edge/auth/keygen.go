package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
)

// KeyPair is a new key. Either Secret is set (HS256), or all the others are.
type KeyPair struct {
	Algorithm string
	Secret    string // base64url text of 32 random bytes; use it as it is
	Private   string // PEM, PKCS #8; for MintOptions.PrivateKey
	Public    string // PEM, PKIX; for PublicKey.PEM
	ID        string // thumbprint (RFC 7638), the kid that Mint writes by default
	JWKS      string // JSON key set with the public key alone, to serve at a JWKSURL
}

// GenerateKey makes a key for one of Algorithms.
func GenerateKey(alg string) (KeyPair, error) {
	switch alg {
	case HS256:
		secret := make([]byte, minSecretBytes)
		rand.Read(secret) // crypto/rand: never fails, Go 1.24
		return KeyPair{Algorithm: alg, Secret: base64.RawURLEncoding.EncodeToString(secret)}, nil
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return newKeyPair(alg, private, err)
	case RS256:
		private, err := rsa.GenerateKey(rand.Reader, minRSABits)
		return newKeyPair(alg, private, err)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return newKeyPair(alg, private, err)
	default:
		return KeyPair{}, fmt.Errorf("auth: algorithm %q: want one of %v", clip(alg), Algorithms())
	}
}

func newKeyPair(alg string, private crypto.Signer, err error) (KeyPair, error) {
	if err != nil {
		return KeyPair{}, fmt.Errorf("auth: generate %s key: %w", alg, err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return KeyPair{}, fmt.Errorf("auth: encode private key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return KeyPair{}, fmt.Errorf("auth: encode public key: %w", err)
	}
	j, err := newJWK(private.Public())
	if err != nil {
		return KeyPair{}, fmt.Errorf("auth: encode public key: %w", err)
	}
	set, err := json.MarshalIndent(map[string][]jwk{"keys": {j}}, "", "  ")
	if err != nil {
		return KeyPair{}, fmt.Errorf("auth: encode key set: %w", err)
	}
	return KeyPair{
		Algorithm: alg,
		Private:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})),
		Public:    string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})),
		ID:        j.ID,
		JWKS:      string(set) + "\n",
	}, nil
}
