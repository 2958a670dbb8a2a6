package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// goodJWK is the public key of a pair, to be changed.
func goodJWK(t testing.TB, alg string) fields {
	t.Helper()
	var set struct{ Keys []fields }
	if err := json.Unmarshal([]byte(keyPairs()[alg].JWKS), &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}

func TestKeySetRoundTrip(t *testing.T) {
	for _, alg := range []string{ES256, RS256, EdDSA} {
		pair := keyPairs()[alg]
		ring, skipped, err := parseKeySet([]byte(pair.JWKS))
		if err != nil || len(skipped) > 0 {
			t.Fatalf("%s: %v, left out %v", alg, err, skipped)
		}
		fromPEM, err := parsePublicPEM(pair.Public)
		if err != nil {
			t.Fatal(err)
		}
		got := ring[pair.ID][0]
		if got.method != fromPEM.method || fmt.Sprint(got.material) != fmt.Sprint(fromPEM.material) {
			t.Errorf("%s: key set and PEM differ: %v, %v", alg, got, fromPEM)
		}
	}
}

// TestThumbprint is the example of RFC 7638 §3.1.
func TestThumbprint(t *testing.T) {
	j := jwk{Type: "RSA", Algorithm: "RS256", ID: "2011-04-29", E: "AQAB",
		N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
	got, err := j.thumbprint()
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; err != nil || got != want {
		t.Errorf("thumbprint: got %s, %v, want %s", got, err, want)
	}
}

// TestKeySetSkips: a bad key is left out, the good one beside it is kept.
func TestKeySetSkips(t *testing.T) {
	weak, err := bareJWK(weakRSAKey(t))
	if err != nil {
		t.Fatal(err)
	}
	zeros := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for name, tc := range map[string]struct {
		alg    string
		change fields
		want   string
	}{
		"symmetric":       {ES256, fields{"kty": "oct", "k": zeros}, "private"},
		"private EC":      {ES256, fields{"d": zeros}, "private"},
		"private RSA":     {RS256, fields{"d": zeros}, "private"},
		"unknown type":    {ES256, fields{"kty": "XYZ"}, `kty "XYZ"`},
		"no type":         {ES256, fields{"kty": nil}, "kty"},
		"type number":     {ES256, fields{"kty": 1}, "not a JSON key"},
		"for encryption":  {RS256, fields{"use": "enc"}, `use "enc"`},
		"only to encrypt": {RS256, fields{"key_ops": []string{"encrypt"}}, "key_ops"},
		"long id":         {ES256, fields{"kid": strings.Repeat("k", 257)}, "257 bytes"},
		"other alg":       {RS256, fields{"alg": "RS512"}, `alg "RS512": want RS256`},
		"confused alg":    {RS256, fields{"alg": "HS256"}, `alg "HS256": want RS256`},
		"weak RSA":        {RS256, fields{"n": weak.N}, "1024 bits"},
		"huge RSA":        {RS256, fields{"n": base64.RawURLEncoding.EncodeToString(append([]byte{1}, make([]byte, 2048)...))}, "bits: want"},
		"empty n":         {RS256, fields{"n": ""}, "0 bits"},
		"bad n":           {RS256, fields{"n": "+/"}, "n or e"},
		"no e":            {RS256, fields{"e": nil}, "n or e"},
		"e of 1":          {RS256, fields{"e": "AQ"}, "e is 1"},
		"even e":          {RS256, fields{"e": "BA"}, "e is 4"},
		"e too large":     {RS256, fields{"e": "_____w"}, "e is 4294967295"},
		"e too long":      {RS256, fields{"e": "AAAAAAAAAQAB"}, "n or e"},
		"other curve":     {ES256, fields{"crv": "P-384"}, `crv "P-384"`},
		"secp256k1":       {ES256, fields{"crv": "secp256k1"}, "want P-256"},
		"off curve":       {ES256, fields{"x": zeros}, "point not on"},
		"infinity":        {ES256, fields{"x": zeros, "y": zeros}, "point not on"},
		"short x":         {ES256, fields{"x": "AAAA"}, "of 32 bytes"},
		"no y":            {ES256, fields{"y": nil}, "of 32 bytes"},
		"x25519":          {EdDSA, fields{"crv": "X25519"}, `crv "X25519"`},
		"short ed25519":   {EdDSA, fields{"x": "AAAA"}, "of 32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			good := goodJWK(t, ES256).with(fields{"kid": "good"})
			raw, err := json.Marshal(fields{"keys": []fields{goodJWK(t, tc.alg).with(tc.change), good}})
			if err != nil {
				t.Fatal(err)
			}
			ring, skipped, err := parseKeySet(raw)
			if err != nil || ring.size() != 1 || len(ring["good"]) != 1 || len(skipped) != 1 {
				t.Fatalf("got %d keys, left out %v, %v; want the good one alone", ring.size(), skipped, err)
			}
			if !strings.Contains(skipped[0].Error(), tc.want) {
				t.Errorf("left out for %q, want %q in it", skipped[0], tc.want)
			}
		})
	}
}

func TestKeySetRefuses(t *testing.T) {
	key := goodJWK(t, EdDSA)
	many := func(n int, one fields) fields {
		keys := make([]fields, n)
		for i := range keys {
			keys[i] = one
		}
		return fields{"keys": keys}
	}
	for name, tc := range map[string]struct {
		set  any
		want string
	}{
		"list":     {[]fields{key}, "not a JSON key set"},
		"none":     {fields{}, "no usable key"},
		"null":     {nil, "no usable key"},
		"only bad": {many(1, fields{"kty": "oct"}), `kty "oct"`},
		"too many": {many(maxSetKeys+1, key), "has 257 keys"},
	} {
		raw, err := json.Marshal(tc.set)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := parseKeySet(raw); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, tc.want)
		}
	}
	raw, _ := json.Marshal(many(maxSameID+1, key))
	if ring, skipped, err := parseKeySet(raw); err != nil || ring.size() != maxSameID || len(skipped) != 1 {
		t.Errorf("keys of one id: got %d, left out %v, %v; want %d and 1", ring.size(), skipped, err, maxSameID)
	}
}

// TestSameIDTwoTypes: RFC 7517 §4.5 allows one id for keys of two types.
func TestSameIDTwoTypes(t *testing.T) {
	raw, err := json.Marshal(fields{"keys": []fields{
		goodJWK(t, ES256).with(fields{"kid": "k"}), goodJWK(t, RS256).with(fields{"kid": "k"}), goodJWK(t, EdDSA).with(fields{"kid": "k"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ring, _, err := parseKeySet(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{ES256, RS256, EdDSA} {
		keys, named := ring.find(header{alg: alg, keyID: "k"})
		if !named || len(keys) != 1 || keys[0].method.Alg() != alg {
			t.Errorf("%s: got %v, %v, want its one key", alg, keys, named)
		}
	}
	if keys, named := ring.find(header{alg: HS256, keyID: "k"}); !named || len(keys) > 0 {
		t.Errorf("HS256: got %v, %v, want none of a known id", keys, named)
	}
}

func TestExponent(t *testing.T) {
	e := base64.RawURLEncoding.EncodeToString(big.NewInt(1<<31 - 1).Bytes())
	j := jwk{Type: "RSA", N: goodJWK(t, RS256)["n"].(string), E: e}
	if _, err := j.key(); err != nil {
		t.Errorf("largest exponent: %v", err)
	}
}
