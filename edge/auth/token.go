package auth

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"hawser/proto/names"
)

// Limits of one token. With Config.MaxTokenBytes they bound what a hostile
// token can cost.
const (
	maxKeyIDBytes = 256
	maxPatterns   = 64            // subscribe and publish together
	maxAudiences  = 64            // entries of aud, and of tenant
	maxNumeric    = 253402300799. // s; 9999-12-31T23:59:59Z, the last year time formats can print
)

// token is a JWT taken apart. Nothing in it can be trusted before its
// signature has been checked.
type token struct {
	header    header
	signed    string // header and payload as sent: what the signature covers
	signature []byte
	payload   []byte // JSON
}

// header is what we read of a JOSE header. All else in it, jku, jwk, x5u and
// x5c above all, is ignored: a token does not choose its own key.
type header struct {
	alg   string
	keyID string
}

// claims is what we read of the payload.
type claims struct {
	user               string
	issuer             string
	audience           []string
	tenants            []string // claim "tenant"; nil when absent
	expires            time.Time
	notBefore          time.Time
	issuedAt           time.Time
	subscribe, publish []string
}

// base64url as RFC 7515 §2 wants it: no padding, and no stray bits at the end,
// so that a token has one spelling only.
var base64url = base64.RawURLEncoding.Strict()

// parseToken takes a token apart. Length and dots come first: CVE-2025-30204
// was a split of a token that was all dots.
func parseToken(s string, maxBytes int) (token, error) {
	if len(s) > maxBytes {
		return token{}, refuse(ReasonTooLong, "token has %d bytes: want at most %d", len(s), maxBytes)
	}
	if n := strings.Count(s, "."); n != 2 {
		return token{}, refuse(ReasonMalformed, "token has %d dots: want 2, as a signed JWT has", n)
	}
	signedEnd := strings.LastIndexByte(s, '.')
	head, body, _ := strings.Cut(s[:signedEnd], ".")
	parts := [3]string{head, body, s[signedEnd+1:]}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = decodePart(part); err != nil {
			return token{}, refuse(ReasonMalformed, "token part %d %v", i+1, err)
		}
	}
	h, err := parseHeader(raw[0])
	if err != nil {
		return token{}, refuse(ReasonMalformed, "token header %v", err)
	}
	return token{header: h, signed: s[:signedEnd], payload: raw[1], signature: raw[2]}, nil
}

func decodePart(part string) ([]byte, error) {
	// Go's decoder skips line breaks; RFC 7515 knows none.
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("has a line break")
	}
	raw, err := base64url.DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url without padding")
	}
	return raw, nil
}

// object is a JSON object with exact names. Decoding into a struct would take
// "SUB" for "sub", and a claim that users may choose for one they may not.
type object map[string]json.RawMessage

func parseObject(raw []byte) (object, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("is not UTF-8")
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, errors.New("is not a JSON object")
	}
	return o, nil
}

func parseHeader(raw []byte) (header, error) {
	o, err := parseObject(raw)
	if err != nil {
		return header{}, err
	}
	// RFC 7515 §4.1.11: extensions named in crit must be understood. We know none.
	if _, found := o["crit"]; found {
		return header{}, errors.New("has crit: want none")
	}
	var h header
	if h.alg, err = o.text("alg"); err != nil {
		return header{}, err
	}
	if h.keyID, err = o.text("kid"); err != nil {
		return header{}, err
	}
	if len(h.keyID) > maxKeyIDBytes {
		return header{}, fmt.Errorf("has a kid of %d bytes: want at most %d", len(h.keyID), maxKeyIDBytes)
	}
	if h.alg == "Ed25519" { // RFC 9864 §2.2: the new name of EdDSA with that curve
		h.alg = EdDSA
	}
	return h, nil
}

// parseClaims reads and checks what needs neither clock nor configuration.
func parseClaims(raw []byte) (claims, error) {
	o, err := parseObject(raw)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if c.user, err = o.text("sub"); err != nil {
		return claims{}, err
	}
	if err := names.CheckUser(c.user); err != nil {
		return claims{}, fmt.Errorf("sub: %w", err)
	}
	if c.issuer, err = o.text("iss"); err != nil {
		return claims{}, err
	}
	if c.audience, err = o.list("aud", maxAudiences); err != nil {
		return claims{}, err
	}
	if c.tenants, err = o.list("tenant", maxAudiences); err != nil {
		return claims{}, err
	}
	if err := o.times(&c); err != nil {
		return claims{}, err
	}
	return c, o.permissions(&c)
}

// times reads the NumericDate claims of RFC 7519 §2.
func (o object) times(c *claims) error {
	var errs [3]error
	c.expires, errs[0] = o.date("exp")
	c.notBefore, errs[1] = o.date("nbf")
	c.issuedAt, errs[2] = o.date("iat")
	return cmp.Or(errs[:]...)
}

// permissions reads the claim hw.
func (o object) permissions(c *claims) error {
	raw, found := o["hw"]
	if !found || isNull(raw) {
		return nil
	}
	hw, err := parseObject(raw)
	if err != nil {
		return fmt.Errorf("hw %w", err)
	}
	if c.subscribe, err = hw.list("sub", maxPatterns); err != nil {
		return fmt.Errorf("hw: %w", err)
	}
	if c.publish, err = hw.list("pub", maxPatterns); err != nil {
		return fmt.Errorf("hw: %w", err)
	}
	return checkPatterns(c.subscribe, c.publish)
}

func checkPatterns(subscribe, publish []string) error {
	if n := len(subscribe) + len(publish); n > maxPatterns {
		return fmt.Errorf("hw has %d patterns: want at most %d", n, maxPatterns)
	}
	for _, patterns := range [][]string{subscribe, publish} {
		for _, p := range patterns {
			if err := names.CheckPattern(p); err != nil {
				return fmt.Errorf("hw: %w", err)
			}
		}
	}
	return nil
}

// text is a string member; absent and null are "".
func (o object) text(name string) (string, error) {
	raw, found := o[name]
	if !found || isNull(raw) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// list is a member that is a string or a list of strings, as aud is.
func (o object) list(name string, most int) ([]string, error) {
	raw, found := o[name]
	if !found || isNull(raw) {
		return nil, nil
	}
	if raw[0] == '"' {
		s, err := o.text(name)
		return []string{s}, err
	}
	var all []*string // pointers, since null would pass for ""
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("%s is neither a string nor a list of strings", name)
	}
	if len(all) > most {
		return nil, fmt.Errorf("%s has %d entries: want at most %d", name, len(all), most)
	}
	list := make([]string, len(all))
	for i, s := range all {
		if s == nil {
			return nil, fmt.Errorf("%s has a null entry", name)
		}
		list[i] = *s
	}
	return list, nil
}

// date is seconds since 1970, maybe with a fraction; absent is the zero time.
func (o object) date(name string) (time.Time, error) {
	raw, found := o[name]
	if !found || isNull(raw) {
		return time.Time{}, nil
	}
	var s float64
	if err := json.Unmarshal(raw, &s); err != nil {
		return time.Time{}, fmt.Errorf("%s is not a number", name)
	}
	if s < 0 || s > maxNumeric {
		return time.Time{}, fmt.Errorf("%s is out of range: want seconds since 1970", name)
	}
	whole, fraction := math.Modf(s)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }
