package auth

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hawser/proto/names"
)

// Limits and default of MintOptions.TTL.
const (
	DefaultTTL = time.Hour
	MaxTTL     = 366 * 24 * time.Hour
)

// MintOptions describe a development token. Applications mint their own, with
// any JWT library; see the package comment for the claims.
type MintOptions struct {
	Tenant string // required
	User   string // required
	// TTL is how long the token is good. Default 1h, at most a year.
	TTL time.Duration
	// Issuer and Audience go into iss and, beside the tenant, into aud.
	// Default empty: left out.
	Issuer, Audience string
	// Subscribe and Publish are the patterns of the claim hw.
	Subscribe, Publish []string

	// Secret signs with HS256. Exactly one of Secret and PrivateKey is set.
	Secret string
	// PrivateKey is a PEM of PKCS #8, PKCS #1 or SEC 1; it signs with RS256,
	// ES256 or EdDSA by its type.
	PrivateKey string
	// KeyID is the kid. Default: the thumbprint (RFC 7638) of a private key,
	// as in KeyPair.ID, and none for a secret.
	KeyID string

	// Now is when the token is issued. Default: the system's time.
	Now time.Time
}

// Mint signs a token, or says which option cannot work.
func Mint(opts MintOptions) (string, error) {
	if err := opts.check(); err != nil {
		return "", err
	}
	method, material, id, err := opts.signer()
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(method, opts.claims())
	if id != "" {
		t.Header["kid"] = id
	}
	text, err := t.SignedString(material)
	if err != nil {
		return "", fmt.Errorf("auth: sign token: %w", err)
	}
	return text, nil
}

func (o MintOptions) check() error {
	if err := names.CheckTenant(o.Tenant); err != nil {
		return fmt.Errorf("auth: mint: %w", err)
	}
	if err := names.CheckUser(o.User); err != nil {
		return fmt.Errorf("auth: mint: %w", err)
	}
	if o.TTL < 0 || o.TTL > MaxTTL {
		return fmt.Errorf("auth: mint: TTL %v: want above 0 and at most %v", o.TTL, MaxTTL)
	}
	if (o.Secret == "") == (o.PrivateKey == "") {
		return errors.New("auth: mint: want exactly one of a secret and a private key")
	}
	if err := checkPatterns(o.Subscribe, o.Publish); err != nil {
		return fmt.Errorf("auth: mint: %w", err)
	}
	return nil
}

func (o MintOptions) claims() jwt.MapClaims {
	now, ttl := o.Now, o.TTL
	if now.IsZero() {
		now = time.Now()
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	c := jwt.MapClaims{
		"sub": o.User,
		"aud": audiencePrefix + o.Tenant,
		"iat": now.Unix(),
		"exp": now.Add(ttl).Unix(),
	}
	if o.Audience != "" {
		c["aud"] = []string{o.Audience, audiencePrefix + o.Tenant}
	}
	if o.Issuer != "" {
		c["iss"] = o.Issuer
	}
	if hw := o.permissions(); len(hw) > 0 {
		c["hw"] = hw
	}
	return c
}

func (o MintOptions) permissions() map[string][]string {
	hw := map[string][]string{}
	if len(o.Subscribe) > 0 {
		hw["sub"] = o.Subscribe
	}
	if len(o.Publish) > 0 {
		hw["pub"] = o.Publish
	}
	return hw
}

func (o MintOptions) signer() (method jwt.SigningMethod, material any, id string, err error) {
	if o.Secret != "" {
		if len(o.Secret) < minSecretBytes {
			return nil, nil, "", fmt.Errorf("auth: mint: secret has %d bytes: want at least %d", len(o.Secret), minSecretBytes)
		}
		return jwt.SigningMethodHS256, []byte(o.Secret), o.KeyID, nil
	}
	private, err := parsePrivatePEM(o.PrivateKey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("auth: mint: private key %w", err)
	}
	k, err := publicKey(private.Public())
	if err != nil {
		return nil, nil, "", fmt.Errorf("auth: mint: private key: %w", err)
	}
	if o.KeyID != "" {
		return k.method, private, o.KeyID, nil
	}
	j, err := newJWK(private.Public())
	return k.method, private, j.ID, err
}

func parsePrivatePEM(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("holds no PEM block: want -----BEGIN PRIVATE KEY-----")
	}
	private, err := parsePrivateBlock(block)
	if err != nil {
		return nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("of type %T cannot sign: want RSA, P-256 or Ed25519", private)
	}
	return signer, nil
}

func parsePrivateBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("is a %s: want an unencrypted PRIVATE KEY", block.Type)
	}
}
