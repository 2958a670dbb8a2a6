package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hawser/actors"
)

var methods = map[string]jwt.SigningMethod{
	HS256: jwt.SigningMethodHS256, ES256: jwt.SigningMethodES256,
	RS256: jwt.SigningMethodRS256, EdDSA: jwt.SigningMethodEdDSA,
}

func TestVerifyAccepts(t *testing.T) {
	hour := epoch.Add(time.Hour + DefaultLeeway).UTC()
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	many := make([]string, maxPatterns)
	for i := range many {
		many[i] = fmt.Sprintf("room.%d", i)
	}
	for name, tc := range map[string]struct {
		change func(*Config)
		head   fields
		claims fields
		want   actors.Identity
	}{
		"plain":               {want: actors.Identity{User: "ann", Expires: hour}},
		"tenant without mark": {claims: fields{"aud": "demo"}, want: actors.Identity{User: "ann", Expires: hour}},
		"audience list":       {claims: fields{"aud": []string{"api", "hawser:demo"}}, want: actors.Identity{User: "ann", Expires: hour}},
		"tenant claim agrees": {claims: fields{"tenant": "demo"}, want: actors.Identity{User: "ann", Expires: hour}},
		"tenant claim under audience": {
			change: func(c *Config) { c.Audience = "https://api" },
			claims: fields{"aud": "https://api", "tenant": []string{"other", "demo"}},
			want:   actors.Identity{User: "ann", Expires: hour},
		},
		"tenant in aud under audience": {
			change: func(c *Config) { c.Audience = "https://api" },
			claims: fields{"aud": []string{"https://api", "hawser:demo"}},
			want:   actors.Identity{User: "ann", Expires: hour},
		},
		"issuer":         {change: func(c *Config) { c.Issuer = "https://id" }, claims: fields{"iss": "https://id"}, want: actors.Identity{User: "ann", Expires: hour}},
		"expired within": {claims: fields{"exp": at(-29 * time.Second)}, want: actors.Identity{User: "ann", Expires: epoch.Add(time.Second).UTC()}},
		"early within":   {claims: fields{"nbf": at(30 * time.Second), "iat": at(30 * time.Second)}, want: actors.Identity{User: "ann", Expires: hour}},
		"no expiry":      {change: func(c *Config) { c.RequireExpiry = false }, claims: fields{"exp": nil}, want: actors.Identity{User: "ann"}},
		"fraction":       {claims: fields{"exp": 1772370000.5}, want: actors.Identity{User: "ann", Expires: time.Unix(1772370030, 5e8).UTC()}},
		"permissions": {
			claims: fields{"hw": fields{"sub": []string{"news", "room.*"}, "pub": "room.>", "later": 1}},
			want:   actors.Identity{User: "ann", Expires: hour, Subscribe: []string{"news", "room.*"}, Publish: []string{"room.>"}},
		},
		"most permissions": {claims: fields{"hw": fields{"sub": many}}, want: actors.Identity{User: "ann", Expires: hour, Subscribe: many}},
		"wide user":        {claims: fields{"sub": "auth0|ann@example.org"}, want: actors.Identity{User: "auth0|ann@example.org", Expires: hour}},
		"foreign key id":   {head: fields{"kid": "2019-key"}, want: actors.Identity{User: "ann", Expires: hour}},
		"header tricks ignored": {
			head: fields{"jku": "http://127.0.0.1:1/evil", "x5u": "http://127.0.0.1:1/evil", "jwk": fields{"kty": "oct", "k": "AA"}, "x5c": []string{"AA"}},
			want: actors.Identity{User: "ann", Expires: hour},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := secretConfig()
			if tc.change != nil {
				tc.change(&cfg)
			}
			v := newVerifier(t, cfg, Options{})
			got, err := verifyNow(t, v, "demo", signSecret(t, tc.head, goodClaims().with(tc.claims)))
			if err != nil {
				t.Fatal(err)
			}
			if !got.Expires.IsZero() {
				got.Expires = got.Expires.UTC()
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("identity: got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestVerifyRefuses has a line for each way in which a token can be wrong.
func TestVerifyRefuses(t *testing.T) {
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	tooMany := make([]string, maxPatterns+1)
	for i := range tooMany {
		tooMany[i] = "room"
	}
	for name, tc := range map[string]struct {
		change  func(*Config)
		head    fields
		claims  fields
		want    Reason
		message string // a part of it
	}{
		"expired":           {claims: fields{"exp": at(-3 * time.Minute)}, want: ReasonExpired, message: "token expired 3m ago"},
		"expired at leeway": {claims: fields{"exp": at(-30 * time.Second)}, want: ReasonExpired, message: "30s ago"},
		"expired long ago":  {claims: fields{"exp": 1}, want: ReasonExpired, message: "d ago"},
		"not yet":           {claims: fields{"nbf": at(31 * time.Second)}, want: ReasonNotYet, message: "31s from now"},
		"issued later":      {claims: fields{"iat": at(2 * time.Hour)}, want: ReasonNotYet, message: "2h in the future"},
		"no expiry":         {claims: fields{"exp": nil}, want: ReasonBadClaims, message: "no exp"},
		"null expiry":       {claims: fields{"exp": (*int)(nil)}, want: ReasonBadClaims, message: "no exp"},
		"text expiry":       {claims: fields{"exp": "1790000000"}, want: ReasonBadClaims, message: "exp is not a number"},
		"endless expiry":    {claims: fields{"exp": 1e300}, want: ReasonBadClaims, message: "exp is out of range"},
		"negative expiry":   {claims: fields{"exp": -1}, want: ReasonBadClaims, message: "exp is out of range"},
		"bad nbf":           {claims: fields{"nbf": true}, want: ReasonBadClaims, message: "nbf"},
		"bad iat":           {claims: fields{"iat": fields{}}, want: ReasonBadClaims, message: "iat"},

		"other tenant":         {claims: fields{"aud": "hawser:other"}, want: ReasonWrongTenant, message: `token is for "hawser:other", not for tenant "demo": want aud "hawser:demo"`},
		"other tenant in list": {claims: fields{"aud": []string{"a", "b", "c"}}, want: ReasonWrongTenant, message: `"a" and 2 more`},
		"no audience":          {claims: fields{"aud": nil}, want: ReasonWrongTenant, message: "nobody"},
		"tenant claim alone":   {claims: fields{"aud": "api", "tenant": "demo"}, want: ReasonWrongTenant, message: `"api"`},
		"tenant claim differs": {claims: fields{"tenant": "other"}, want: ReasonWrongTenant, message: `for tenant "other", not for "demo"`},
		"tenant claim empty":   {claims: fields{"tenant": []string{}}, want: ReasonWrongTenant, message: "nobody"},
		"tenant claim number":  {claims: fields{"tenant": 7}, want: ReasonBadClaims, message: "tenant is neither"},
		"prefix of tenant":     {claims: fields{"aud": "hawser:dem"}, want: ReasonWrongTenant},
		"bare prefix":          {claims: fields{"aud": "hawser:"}, want: ReasonWrongTenant},
		"bad audience":         {claims: fields{"aud": 5}, want: ReasonBadClaims, message: "aud is neither"},
		"null in audience":     {claims: fields{"aud": []any{nil}}, want: ReasonBadClaims, message: "null entry"},
		"many audiences":       {claims: fields{"aud": make([]string, maxAudiences+1)}, want: ReasonBadClaims, message: "at most 64"},
		"wrong audience":       {change: func(c *Config) { c.Audience = "https://api" }, want: ReasonWrongAudience, message: `not for audience "https://api"`},
		"audience, no tenant":  {change: func(c *Config) { c.Audience = "https://api" }, claims: fields{"aud": "https://api"}, want: ReasonWrongTenant},
		"wrong issuer":         {change: func(c *Config) { c.Issuer = "https://id" }, claims: fields{"iss": "https://id/"}, want: ReasonWrongIssuer, message: `issuer "https://id/"`},
		"no issuer":            {change: func(c *Config) { c.Issuer = "https://id" }, want: ReasonWrongIssuer},
		"bad issuer":           {claims: fields{"iss": []string{"a"}}, want: ReasonBadClaims, message: "iss is not a string"},

		"no user":             {claims: fields{"sub": nil}, want: ReasonBadClaims, message: "sub: user has 0 bytes"},
		"long user":           {claims: fields{"sub": strings.Repeat("u", 129)}, want: ReasonBadClaims, message: "129 bytes"},
		"control in user":     {claims: fields{"sub": "a\nb"}, want: ReasonBadClaims, message: "control"},
		"user number":         {claims: fields{"sub": 12}, want: ReasonBadClaims, message: "sub is not a string"},
		"user of other case":  {claims: fields{"sub": nil, "SUB": "root"}, want: ReasonBadClaims, message: "sub: user has 0 bytes"},
		"permissions list":    {claims: fields{"hw": []string{"a"}}, want: ReasonBadClaims, message: "hw is not a JSON object"},
		"permissions number":  {claims: fields{"hw": fields{"sub": 1}}, want: ReasonBadClaims, message: "hw: sub is neither"},
		"bad pattern":         {claims: fields{"hw": fields{"pub": []string{"a.>.b"}}}, want: ReasonBadClaims, message: "pattern"},
		"too many patterns":   {claims: fields{"hw": fields{"sub": tooMany}}, want: ReasonBadClaims, message: "at most 64"},
		"too many in sum":     {claims: fields{"hw": fields{"sub": tooMany[:40], "pub": tooMany[:40]}}, want: ReasonBadClaims, message: "80 patterns"},
		"critical extension":  {head: fields{"crit": []string{"b64"}, "b64": false}, want: ReasonMalformed, message: "crit"},
		"key id number":       {head: fields{"kid": 1}, want: ReasonMalformed, message: "kid is not a string"},
		"key id long":         {head: fields{"kid": strings.Repeat("k", 257)}, want: ReasonMalformed, message: "257 bytes"},
		"algorithm number":    {head: fields{"alg": 1}, want: ReasonMalformed, message: "alg is not a string"},
		"algorithm missing":   {head: fields{"alg": nil}, want: ReasonBadSignature, message: "unsigned"},
		"algorithm none":      {head: fields{"alg": "none"}, want: ReasonBadSignature, message: "unsigned"},
		"algorithm None":      {head: fields{"alg": "NoNe"}, want: ReasonBadSignature, message: "unsigned"},
		"algorithm unknown":   {head: fields{"alg": "HS512"}, want: ReasonBadSignature, message: `"HS512" is not accepted: want one of HS256`},
		"algorithm of others": {head: fields{"alg": "RS256"}, want: ReasonBadSignature, message: "is not accepted"},
		"algorithm hostile":   {head: fields{"alg": strings.Repeat("\x00", 100)}, want: ReasonBadSignature, message: `\x00…"`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := secretConfig()
			if tc.change != nil {
				tc.change(&cfg)
			}
			v := newVerifier(t, cfg, Options{})
			_, err := verifyNow(t, v, "demo", signSecret(t, tc.head, goodClaims().with(tc.claims)))
			wantReason(t, err, tc.want, false)
			if !strings.Contains(err.Error(), tc.message) {
				t.Errorf("message: got %q, want %q in it", err, tc.message)
			}
		})
	}
}

// TestVerifyForm is about texts that are no tokens at all.
func TestVerifyForm(t *testing.T) {
	v := newVerifier(t, secretConfig(), Options{})
	good := signSecret(t, nil, goodClaims())
	head, rest, _ := strings.Cut(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	for name, tc := range map[string]struct {
		token string
		want  Reason
	}{
		"empty":              {"", ReasonMissing},
		"too long":           {good + strings.Repeat("A", DefaultMaxTokenBytes), ReasonTooLong},
		"just too long":      {strings.Repeat("A", DefaultMaxTokenBytes+1), ReasonTooLong},
		"just not":           {strings.Repeat("A", DefaultMaxTokenBytes), ReasonMalformed},
		"all dots":           {strings.Repeat(".", DefaultMaxTokenBytes), ReasonMalformed},
		"one dot":            {head + ".x", ReasonMalformed},
		"three dots":         {good + ".x", ReasonMalformed},
		"encrypted":          {"a.b.c.d.e", ReasonMalformed},
		"only dots":          {"..", ReasonMalformed},
		"no signature":       {good[:strings.LastIndexByte(good, '.')+1], ReasonBadSignature},
		"padding":            {good + "=", ReasonMalformed},
		"standard base64":    {"a+/b." + rest, ReasonMalformed},
		"space":              {" " + good, ReasonMalformed},
		"line break":         {good + "\n", ReasonMalformed},
		"line break in head": {head[:4] + "\r\n" + head[4:] + "." + rest, ReasonMalformed},
		"stray bits":         {strayBits(good), ReasonMalformed},
		"header no JSON":     {b64([]byte("x")) + "." + rest, ReasonMalformed},
		"header list":        {b64([]byte("[]")) + "." + rest, ReasonMalformed},
		"header null":        {b64([]byte("null")) + "." + rest, ReasonMalformed},
		"header not UTF-8":   {b64([]byte("{\"alg\":\"HS256\xff\"}")) + "." + rest, ReasonMalformed},
		"header and more":    {b64([]byte(`{"alg":"HS256"}{}`)) + "." + rest, ReasonMalformed},
		"signature flipped":  {flipLast(good), ReasonBadSignature},
		"payload swapped":    {head + "." + segment(goodClaims().with(fields{"sub": "root"})) + good[strings.LastIndexByte(good, '.'):], ReasonBadSignature},
		"payload list":       {signRaw(t, HS256, testSecret, head, b64([]byte("[]"))), ReasonBadClaims},
		"payload empty":      {signRaw(t, HS256, testSecret, head, ""), ReasonBadClaims},
		"payload not UTF-8":  {signRaw(t, HS256, testSecret, head, b64([]byte("{\"sub\":\"\xff\"}"))), ReasonBadClaims},
		"payload deep":       {signRaw(t, HS256, testSecret, head, b64([]byte(strings.Repeat("[", 2000)))), ReasonBadClaims},
		"wrong secret":       {sign(t, HS256, previousSecret, nil, goodClaims()), ReasonBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verifyNow(t, v, "demo", tc.token)
			wantReason(t, err, tc.want, false)
			if tc.token != "" && strings.Contains(err.Error(), tc.token) {
				t.Errorf("message %q repeats the token", err)
			}
		})
	}
}

// strayBits sets bits below the last whole byte of the signature: lenient
// decoders drop them, so one token would have several spellings.
func strayBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last|1:last|1+1]
}

func flipLast(token string) string {
	last := strings.LastIndexByte(token, '.')
	raw, _ := base64.RawURLEncoding.DecodeString(token[last+1:])
	raw[0] ^= 1
	return token[:last+1] + base64.RawURLEncoding.EncodeToString(raw)
}

func TestVerifyAnonymous(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AllowAnonymous = true
	v := newVerifier(t, cfg, Options{})
	id, err := verifyNow(t, v, "demo", "")
	if err != nil || !reflect.DeepEqual(id, actors.Identity{}) {
		t.Fatalf("no token: got %+v, %v, want an empty identity", id, err)
	}
	_, err = verifyNow(t, v, "demo", signSecret(t, nil, goodClaims()))
	wantReason(t, err, ReasonUnknownKey, false)
}

func TestVerifyEachAlgorithm(t *testing.T) {
	cfg := secretConfig()
	for alg, pair := range keyPairs() {
		if alg != HS256 {
			cfg.PublicKeys = append(cfg.PublicKeys, PublicKey{ID: pair.ID, PEM: pair.Public})
		}
	}
	v := newVerifier(t, cfg, Options{})
	for alg, pair := range keyPairs() {
		head := fields{"kid": pair.ID}
		key := pair.Private
		if alg == HS256 {
			key = testSecret
		}
		if _, err := verifyNow(t, v, "demo", sign(t, alg, key, head, goodClaims())); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		_, err := verifyNow(t, v, "demo", flipLast(sign(t, alg, key, head, goodClaims())))
		wantReason(t, err, ReasonBadSignature, false)
	}
	// RFC 9864 renames EdDSA.
	renamed := sign(t, EdDSA, keyPairs()[EdDSA].Private, fields{"alg": "Ed25519", "kid": keyPairs()[EdDSA].ID}, goodClaims())
	if _, err := verifyNow(t, v, "demo", renamed); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
}

// TestAlgorithmConfusion is CVE-2015-9235: a token signed with HS256, the
// public key being the secret.
func TestAlgorithmConfusion(t *testing.T) {
	pair := keyPairs()[RS256]
	publicOnly := DefaultConfig()
	publicOnly.PublicKeys = []PublicKey{{ID: pair.ID, PEM: pair.Public}}
	withSecret := publicOnly
	withSecret.HMACSecret = testSecret
	block, _ := pem.Decode([]byte(pair.Public))
	for _, cfg := range []Config{publicOnly, withSecret} {
		v := newVerifier(t, cfg, Options{})
		for _, secret := range []string{pair.Public, strings.TrimSpace(pair.Public), string(block.Bytes)} {
			for _, head := range []fields{nil, {"kid": pair.ID}, {"kid": ""}} {
				_, err := verifyNow(t, v, "demo", sign(t, HS256, secret, head, goodClaims()))
				wantReason(t, err, ReasonBadSignature, false)
			}
		}
	}
	// A good key, and the header of another algorithm.
	v := newVerifier(t, withSecret, Options{})
	_, err := verifyNow(t, v, "demo", sign(t, RS256, pair.Private, fields{"kid": pair.ID, "alg": HS256}, goodClaims()))
	wantReason(t, err, ReasonBadSignature, false)
}

func TestVerifyKeyIDs(t *testing.T) {
	a, b := newPair(t, ES256), newPair(t, ES256)
	cfg := DefaultConfig()
	cfg.PublicKeys = []PublicKey{{ID: "a", PEM: a.Public}}
	v := newVerifier(t, cfg, Options{})
	token := func(kid any) string { return sign(t, ES256, a.Private, fields{"kid": kid}, goodClaims()) }
	if _, err := verifyNow(t, v, "demo", token("a")); err != nil {
		t.Fatal(err)
	}
	for _, kid := range []any{nil, "", "A", "b", "../a", "a\x00", "http://127.0.0.1:1/a", "' OR 1=1 --", "constructor"} {
		_, err := verifyNow(t, v, "demo", token(kid))
		wantReason(t, err, ReasonUnknownKey, false)
	}
	// Keys without an id are tried for any.
	cfg.PublicKeys = []PublicKey{{PEM: b.Public}, {PEM: a.Public}}
	v = newVerifier(t, cfg, Options{})
	for _, kid := range []any{nil, "a", "whatever"} {
		if _, err := verifyNow(t, v, "demo", token(kid)); err != nil {
			t.Fatalf("kid %v: %v", kid, err)
		}
	}
}

func TestSecretRotation(t *testing.T) {
	old := sign(t, HS256, previousSecret, nil, goodClaims())
	cfg := secretConfig()
	v := newVerifier(t, cfg, Options{})
	_, err := verifyNow(t, v, "demo", old)
	wantReason(t, err, ReasonBadSignature, false)
	cfg.HMACPrevious = previousSecret
	if err := v.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{old, signSecret(t, nil, goodClaims())} {
		if _, err := verifyNow(t, v, "demo", token); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReloadRefuses(t *testing.T) {
	v := newVerifier(t, secretConfig(), Options{})
	bad := secretConfig()
	bad.Leeway = -1
	moved := secretConfig()
	moved.JWKSURL = "https://id.example/keys"
	for _, cfg := range []Config{bad, moved} {
		if err := v.Reload(cfg); err == nil {
			t.Errorf("reload of %+v: got nil, want an error", cfg)
		}
	}
	if _, err := verifyNow(t, v, "demo", signSecret(t, nil, goodClaims())); err != nil {
		t.Errorf("after refused reloads: %v", err)
	}
}

func TestObserve(t *testing.T) {
	var seen []Reason
	v := newVerifier(t, secretConfig(), Options{Observe: func(r Reason) { seen = append(seen, r) }})
	for _, token := range []string{"", "x", signSecret(t, nil, goodClaims())} {
		_, _ = verifyNow(t, v, "demo", token)
	}
	want := []Reason{ReasonMissing, ReasonMalformed, ReasonOK}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("observed: got %v, want %v", seen, want)
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if r.String() == "" || r.Sentence() == "" || seen[r.String()] {
			t.Errorf("reason %d: name %q and sentence %q: want both, the name once", r, r, r.Sentence())
		}
		seen[r.String()] = true
	}
	for _, tc := range []struct {
		err  error
		want Reason
	}{{nil, ReasonOK}, {fmt.Errorf("wrapped: %w", refuse(ReasonExpired, "x")), ReasonExpired}, {fmt.Errorf("foreign"), ReasonMalformed}} {
		if got := ReasonOf(tc.err); got != tc.want {
			t.Errorf("ReasonOf(%v): got %v, want %v", tc.err, got, tc.want)
		}
	}
	if code, _, temporary := refuse(ReasonExpired, "x").Status(); code != 401 || temporary {
		t.Errorf("final: got %d, %v, want 401, false", code, temporary)
	}
	if code, _, temporary := postpone(ReasonOverflow, "x").Status(); code != 503 || !temporary {
		t.Errorf("temporary: got %d, %v, want 503, true", code, temporary)
	}
}

// TestValidate breaks each field once.
func TestValidate(t *testing.T) {
	set := func(c *Config) { c.JWKSURL = "https://id.example/keys" }
	pair := keyPairs()[ES256]
	weak := weakRSA(t)
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no keys":        {func(c *Config) { c.HMACSecret = "" }, "no keys"},
		"short secret":   {func(c *Config) { c.HMACSecret = "short" }, "HMACSecret has 5 bytes"},
		"short previous": {func(c *Config) { c.HMACPrevious = "short" }, "HMACPrevious has 5 bytes"},
		"previous alone": {func(c *Config) { c.HMACSecret, c.HMACPrevious, c.AllowAnonymous = "", previousSecret, true }, "without HMACSecret"},
		"no PEM":         {func(c *Config) { c.PublicKeys = []PublicKey{{ID: "k", PEM: "x"}} }, `PublicKeys[0] "k": holds no PEM`},
		"two PEMs":       {func(c *Config) { c.PublicKeys = []PublicKey{{PEM: pair.Public + pair.Public}} }, "more than one"},
		"private PEM":    {func(c *Config) { c.PublicKeys = []PublicKey{{PEM: pair.Private}} }, "holds a PRIVATE KEY"},
		"broken PEM": {func(c *Config) {
			c.PublicKeys = []PublicKey{{PEM: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}}
		}, "PublicKeys[0]"},
		"weak key":         {func(c *Config) { c.PublicKeys = []PublicKey{{PEM: weak}} }, "RSA key has 1024 bits"},
		"same id":          {func(c *Config) { c.PublicKeys = []PublicKey{{"k", pair.Public}, {"k", pair.Public}} }, "has the ID of another"},
		"long id":          {func(c *Config) { c.PublicKeys = []PublicKey{{strings.Repeat("k", 257), pair.Public}} }, "257 bytes"},
		"unnamed and set":  {func(c *Config) { set(c); c.PublicKeys = []PublicKey{{PEM: pair.Public}} }, "has no ID"},
		"many keys":        {func(c *Config) { c.PublicKeys = make([]PublicKey, 17) }, "17 entries"},
		"many unnamed":     {func(c *Config) { c.PublicKeys = slices.Repeat([]PublicKey{{PEM: pair.Public}}, 5) }, "5 entries without ID"},
		"key left out":     {func(c *Config) { c.Algorithms = []string{HS256}; c.PublicKeys = []PublicKey{{PEM: pair.Public}} }, "ES256, which Algorithms"},
		"secret left out":  {func(c *Config) { c.Algorithms = []string{ES256} }, "HS256, which Algorithms"},
		"unknown alg":      {func(c *Config) { c.Algorithms = []string{"none"} }, `Algorithms has "none"`},
		"plain http":       {func(c *Config) { c.JWKSURL = "http://id.example/keys" }, "want https"},
		"no URL":           {func(c *Config) { c.JWKSURL = "keys" }, "JWKSURL"},
		"file URL":         {func(c *Config) { c.JWKSURL = "file:///etc/passwd" }, "JWKSURL"},
		"refresh":          {func(c *Config) { set(c); c.JWKSRefresh = 0 }, "JWKSRefresh 0s"},
		"min interval":     {func(c *Config) { set(c); c.JWKSMinInterval = 2 * time.Hour }, "JWKSMinInterval 2h"},
		"min interval 0":   {func(c *Config) { set(c); c.JWKSMinInterval = 0 }, "JWKSMinInterval 0s"},
		"timeout":          {func(c *Config) { set(c); c.JWKSTimeout = 0 }, "JWKSTimeout 0s"},
		"leeway":           {func(c *Config) { c.Leeway = time.Hour }, "Leeway 1h"},
		"negative leeway":  {func(c *Config) { c.Leeway = -1 }, "Leeway -1ns"},
		"token bytes":      {func(c *Config) { c.MaxTokenBytes = 10 }, "MaxTokenBytes 10"},
		"huge token bytes": {func(c *Config) { c.MaxTokenBytes = 1 << 20 }, "MaxTokenBytes 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := secretConfig()
			tc.change(&cfg)
			err := cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q in it", err, tc.want)
			}
			if strings.Contains(err.Error(), testSecret) {
				t.Errorf("%q repeats the secret", err)
			}
			if _, err := New(cfg, Options{}); err == nil {
				t.Error("New took it")
			}
		})
	}
	for _, url := range []string{"https://id.example/keys", "http://127.0.0.1:8080/k", "http://localhost/k", "http://[::1]/k"} {
		cfg := DefaultConfig()
		cfg.JWKSURL = url
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// weakRSA is a public key of 1024 bits; only its size matters.
func weakRSA(t *testing.T) string {
	t.Helper()
	public := weakRSAKey(t)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func weakRSAKey(t *testing.T) *rsa.PublicKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return &private.PublicKey
}
