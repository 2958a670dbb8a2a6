// Package names says which tenant, channel and method names are good. They
// become NATS subject tokens one to one, so nothing that NATS or a log would
// take for syntax may pass: no wildcards, spaces, control characters or
// empty tokens.
package names

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits. Subjects stay below 256 bytes, so that the NATS sublist and the
// journal index stay cheap.
const (
	MaxTenantBytes   = 64
	MaxChannelBytes  = 200
	MaxChannelTokens = 12
	MaxMethodBytes   = 128
	MaxUserBytes     = 128
)

// Reserved is the tenant name that the edge uses itself, in /ws/health.
const Reserved = "health"

// CheckTenant reports why s cannot be a tenant: one token of [A-Za-z0-9_-].
func CheckTenant(s string) error {
	if len(s) == 0 || len(s) > MaxTenantBytes {
		return fmt.Errorf("tenant has %d bytes: want 1 to %d", len(s), MaxTenantBytes)
	}
	if s == Reserved {
		return fmt.Errorf("tenant %q is reserved", s)
	}
	if !IsToken(s) {
		return fmt.Errorf("tenant %q: want letters, digits, _ and -", Clip(s))
	}
	return nil
}

// CheckChannel reports why s cannot be a channel: 1 to 12 tokens of
// [A-Za-z0-9_-] with dots between.
func CheckChannel(s string) error {
	return checkDotted("channel", s, MaxChannelBytes, 1)
}

// CheckMethod reports why s cannot be an rpc method: service.method, 2 to 12
// tokens.
func CheckMethod(s string) error {
	return checkDotted("method", s, MaxMethodBytes, 2)
}

// CheckUser reports why s cannot be a user id: 1 to 128 bytes of UTF-8
// without control characters. Identity providers issue ids such as
// "auth0|5f7c" and e-mail addresses, so the set is wide; subjects carry
// EscapeUser(s).
func CheckUser(s string) error {
	if len(s) == 0 || len(s) > MaxUserBytes {
		return fmt.Errorf("user has %d bytes: want 1 to %d", len(s), MaxUserBytes)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("user %q: want UTF-8 without control characters", Clip(s))
	}
	return nil
}

// EscapeUser makes a user id one subject token: each byte outside
// [A-Za-z0-9_-] becomes %XX, so "ann@example.org" is "ann%40example%2Eorg".
func EscapeUser(s string) string {
	if IsToken(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; IsToken(s[i : i+1]) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// UnescapeUser is the inverse of EscapeUser.
func UnescapeUser(token string) (string, error) {
	s, err := url.PathUnescape(token)
	if err != nil {
		return "", fmt.Errorf("user token %q: %w", Clip(token), err)
	}
	return s, CheckUser(s)
}

func checkDotted(what, s string, maxBytes, minTokens int) error {
	if len(s) == 0 || len(s) > maxBytes {
		return fmt.Errorf("%s has %d bytes: want 1 to %d", what, len(s), maxBytes)
	}
	tokens := 0
	for rest := s; ; {
		token, tail, more := strings.Cut(rest, ".")
		if !IsToken(token) {
			return fmt.Errorf("%s %q: want tokens of letters, digits, _ and - with dots between", what, Clip(s))
		}
		tokens++
		if !more {
			break
		}
		rest = tail
	}
	if tokens < minTokens || tokens > MaxChannelTokens {
		return fmt.Errorf("%s %q has %d tokens: want %d to %d", what, Clip(s), tokens, minTokens, MaxChannelTokens)
	}
	return nil
}

// IsToken reports whether s is one subject token: letters, digits, _ and -.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			continue
		}
		return false
	}
	return len(s) > 0
}

// Clip keeps hostile names out of logs and error frames at full length.
func Clip(s string) string {
	const most = 40 // bytes
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// Match reports whether name matches pattern: tokens with dots between, "*"
// for exactly one token, a last ">" for one or more, as in NATS.
func Match(pattern, name string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		if p == ">" && !moreP {
			return name != ""
		}
		n, restN, moreN := strings.Cut(name, ".")
		if p != n && (p != "*" || n == "") {
			return false
		}
		if moreP != moreN {
			return false
		}
		if !moreP {
			return true
		}
		pattern, name = restP, restN
	}
}

// CheckPattern reports why s cannot be a pattern for Match.
func CheckPattern(s string) error {
	if len(s) == 0 || len(s) > MaxChannelBytes {
		return fmt.Errorf("pattern has %d bytes: want 1 to %d", len(s), MaxChannelBytes)
	}
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		if token == "*" || token == ">" && i == len(tokens)-1 || IsToken(token) {
			continue
		}
		return fmt.Errorf("pattern %q: want tokens of letters, digits, _ and -, \"*\", or a last \">\"", Clip(s))
	}
	return nil
}
