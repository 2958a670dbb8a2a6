package names

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// bad are no token, whatever it is for: NATS, a log or a shell takes them for
// syntax.
var bad = []string{"", " ", ".", "*", ">", "a b", "a.", ".a", "a..b", "a.*", "a.>", "a\nb", "a\x00", "a/b", "a%b", "$SYS", "ü", "a\u2028", "\xff", "a\tb"}

func TestCheckTenant(t *testing.T) {
	for _, good := range []string{"a", "demo", "A-Z_09", "-", "_", "healthy", strings.Repeat("x", MaxTenantBytes)} {
		if err := CheckTenant(good); err != nil {
			t.Errorf("%q: %v, want it good", good, err)
		}
	}
	for _, s := range append(bad, "a.b", Reserved, strings.Repeat("x", MaxTenantBytes+1)) {
		if CheckTenant(s) == nil {
			t.Errorf("%q: want it refused", s)
		}
	}
}

func TestCheckChannel(t *testing.T) {
	twelve := strings.Repeat("t.", MaxChannelTokens-1) + "t"
	for _, good := range []string{"a", "news.sport", "a.b.c", "-._", twelve, strings.Repeat("x", MaxChannelBytes)} {
		if err := CheckChannel(good); err != nil {
			t.Errorf("%q: %v, want it good", good, err)
		}
	}
	for _, s := range append(bad, twelve+".t", strings.Repeat("x", MaxChannelBytes+1), "....") {
		if CheckChannel(s) == nil {
			t.Errorf("%q: want it refused", s)
		}
	}
}

func TestCheckMethod(t *testing.T) {
	for _, good := range []string{"svc.op", "a.b.c", "a." + strings.Repeat("x", MaxMethodBytes-2)} {
		if err := CheckMethod(good); err != nil {
			t.Errorf("%q: %v, want it good", good, err)
		}
	}
	for _, s := range append(bad, "op", "a."+strings.Repeat("x", MaxMethodBytes-1), "a."+strings.Repeat("t.", MaxChannelTokens)+"t") {
		if CheckMethod(s) == nil {
			t.Errorf("%q: want it refused", s)
		}
	}
}

func TestUser(t *testing.T) {
	for user, token := range map[string]string{
		"ann":                               "ann",
		"ann@example.org":                   "ann%40example%2Eorg",
		"auth0|5f7c":                        "auth0%7C5f7c",
		"a b":                               "a%20b",
		"100%":                              "100%25",
		"*":                                 "%2A",
		">":                                 "%3E",
		"å":                                 "%C3%A5",
		strings.Repeat("x", MaxUserBytes):   strings.Repeat("x", MaxUserBytes),
		strings.Repeat("é", MaxUserBytes/2): strings.Repeat("%C3%A9", MaxUserBytes/2),
	} {
		if err := CheckUser(user); err != nil {
			t.Errorf("CheckUser(%q): %v, want it good", user, err)
		}
		if got := EscapeUser(user); got != token {
			t.Errorf("EscapeUser(%q): got %q, want %q", user, got, token)
		}
		if got, err := UnescapeUser(token); err != nil || got != user {
			t.Errorf("UnescapeUser(%q): got %q, %v, want %q", token, got, err, user)
		}
	}
	for _, s := range []string{"", "a\nb", "\x00", "a\u0085", "\xff", strings.Repeat("x", MaxUserBytes+1)} {
		if CheckUser(s) == nil {
			t.Errorf("CheckUser(%q): want it refused", s)
		}
	}
	for _, token := range []string{"", "%", "%4", "%zz", "%00", "%FF", "%0A"} {
		if got, err := UnescapeUser(token); err == nil {
			t.Errorf("UnescapeUser(%q): got %q, want it refused", token, got)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		match   []string
		other   []string
	}{
		{"news", []string{"news"}, []string{"", "new", "newsx", "news.sport", "News"}},
		{"*", []string{"a", "news"}, []string{"", "a.b"}},
		{">", []string{"a", "a.b", "a.b.c"}, []string{""}},
		{"room.*", []string{"room.1"}, []string{"room", "room.", "room.1.x", "rooms.1"}},
		{"room.>", []string{"room.1", "room.1.x"}, []string{"room", "rooms.1"}},
		{"*.b.*", []string{"a.b.c"}, []string{"a.b", "a.c.b", "a.b.c.d"}},
		{"a.*.>", []string{"a.b.c", "a.b.c.d"}, []string{"a.b", "a"}},
	} {
		for _, name := range c.match {
			if !Match(c.pattern, name) {
				t.Errorf("Match(%q, %q): got false, want true", c.pattern, name)
			}
		}
		for _, name := range c.other {
			if Match(c.pattern, name) {
				t.Errorf("Match(%q, %q): got true, want false", c.pattern, name)
			}
		}
	}
}

// TestMatchModel compares Match with the rule said again, token by token.
func TestMatchModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	draw := func(alphabet []string) string {
		tokens := make([]string, 1+r.IntN(4))
		for i := range tokens {
			tokens[i] = alphabet[r.IntN(len(alphabet))]
		}
		return strings.Join(tokens, ".")
	}
	for range 20_000 {
		pattern, name := draw([]string{"a", "b", "*", ">"}), draw([]string{"a", "b"})
		if CheckPattern(pattern) != nil {
			continue
		}
		if got, want := Match(pattern, name), matches(strings.Split(pattern, "."), strings.Split(name, ".")); got != want {
			t.Fatalf("seed %d: Match(%q, %q): got %v, want %v", seed, pattern, name, got, want)
		}
	}
}

func matches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0 || len(name) == 0:
		return len(pattern) == len(name)
	case pattern[0] == ">":
		return true
	}
	return (pattern[0] == "*" || pattern[0] == name[0]) && matches(pattern[1:], name[1:])
}

func TestCheckPattern(t *testing.T) {
	for _, good := range []string{"a", "*", ">", "a.*", "a.>", "*.*.>", strings.Repeat("x", MaxChannelBytes)} {
		if err := CheckPattern(good); err != nil {
			t.Errorf("%q: %v, want it good", good, err)
		}
	}
	for _, s := range []string{"", ".", "a.", ">.a", "a*", "*a", "a>", "a b", "a..b", "ü", strings.Repeat("x", MaxChannelBytes+1)} {
		if CheckPattern(s) == nil {
			t.Errorf("%q: want it refused", s)
		}
	}
}

// TestErrorsClip: a hostile name is as long as a frame; what we say of it is not.
func TestErrorsClip(t *testing.T) {
	long := strings.Repeat("\x1b[31m", 10_000)
	for _, err := range []error{CheckTenant(long[:60]), CheckChannel(long[:150]), CheckMethod(long[:120]), CheckUser(long[:100]), CheckPattern(long[:150])} {
		if err == nil || len(err.Error()) > 250 || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("got %q, want a short text without control characters", err)
		}
	}
}

// FuzzNames: what passes is one literal NATS subject token for each of ours.
func FuzzNames(f *testing.F) {
	for _, s := range append(bad, "news.sport", "svc.op", "ann@example.org") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckTenant(s) == nil && !isSubject(s, 1) {
			t.Errorf("tenant %q is not one token", s)
		}
		if CheckChannel(s) == nil && !isSubject(s, MaxChannelTokens) {
			t.Errorf("channel %q is no subject", s)
		}
		if CheckMethod(s) == nil && CheckChannel(s) != nil {
			t.Errorf("method %q is no subject", s)
		}
		if CheckChannel(s) == nil && (CheckPattern(s) != nil || !Match(s, s)) {
			t.Errorf("channel %q is no pattern that matches itself", s)
		}
		checkUserToken(t, s)
	})
}

func checkUserToken(t *testing.T, s string) {
	if CheckUser(s) != nil {
		return
	}
	token := EscapeUser(s)
	if !isSubject(token, 1) || len(token) > 3*MaxUserBytes {
		t.Errorf("user %q: %q is not one token", s, token)
	}
	if got, err := UnescapeUser(token); err != nil || got != s {
		t.Errorf("user %q: got %q, %v back from %q", s, got, err, token)
	}
}

// isSubject is what NATS asks of a literal subject, and we of its characters:
// tokens that are not empty, in printable ASCII, without wildcards.
func isSubject(s string, most int) bool {
	tokens := strings.Split(s, ".")
	for _, token := range tokens {
		if token == "" || strings.ContainsAny(token, " *>\x7f") {
			return false
		}
		for i := range len(token) {
			if token[i] <= ' ' || token[i] >= utf8.RuneSelf {
				return false
			}
		}
	}
	return len(tokens) <= most
}
