package node

import (
	"fmt"
	"os"
	"strings"

	"hawser/edge/auth"
)

// Verifier is the section as package auth has it. It reads the files of
// public_keys.
func (c AuthConfig) Verifier() (auth.Config, error) {
	keys, err := c.readPublicKeys()
	if err != nil {
		return auth.Config{}, err
	}
	v := auth.DefaultConfig()
	v.HMACSecret, v.HMACPrevious = c.HMACSecret.Reveal(), c.HMACPrevious.Reveal()
	v.PublicKeys = keys
	v.JWKSURL, v.JWKSRefresh = c.JWKSURL, c.JWKSRefresh
	v.Issuer, v.Audience = c.Issuer, c.Audience
	v.Leeway, v.AllowAnonymous = c.Leeway, c.AllowAnonymous
	return v, v.Validate()
}

func (c AuthConfig) readPublicKeys() ([]auth.PublicKey, error) {
	var keys []auth.PublicKey
	for _, entry := range c.PublicKeys {
		id, path, named := strings.Cut(entry, "=")
		if !named {
			id, path = "", entry
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("auth.public_keys: %w", err)
		}
		keys = append(keys, auth.PublicKey{ID: id, PEM: string(text)})
	}
	return keys, nil
}
