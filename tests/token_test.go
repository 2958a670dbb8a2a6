package tests

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hawser/edge/client"
	"hawser/proto/cause"
)

// secret signs the tokens of the stories, forgery those of an attacker.
const (
	secret  = "a-secret-of-32-bytes-for-stories"
	forgery = "another-secret-that-is-not-known"
)

// locked wants a token of everyone.
const locked = `
auth: {hmac_secret: "` + secret + `", leeway: 0s}
channels: [{pattern: '>', subscribe: allow, publish: allow, publish_to: channel}]
`

// mint has `hawser token gen` sign a token for tenant demo, unless options say
// otherwise.
func mint(t *testing.T, options ...string) string {
	t.Helper()
	return mintWith(t, secret, options...)
}

func mintWith(t *testing.T, key string, options ...string) string {
	t.Helper()
	args := append([]string{"token", "gen", "--tenant=demo"}, options...)
	stdout, stderr, code := runHawser(t, []string{"HAWSER_AUTH_HMAC_SECRET=" + key}, args...)
	if code != 0 {
		t.Fatalf("hawser %v: exit code %d: %s", args, code, stderr)
	}
	return strings.TrimSpace(stdout)
}

// tokenOf is the callback of a client that has one token.
func tokenOf(token string) func(context.Context, client.TokenReason) (string, error) {
	return func(context.Context, client.TokenReason) (string, error) { return token, nil }
}

// craft signs what token gen would not.
func craft(t *testing.T, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"sub": "ann", "aud": "hawser:demo", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	change(claims)
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestTokens: a good token opens a session for its user; every other one gets
// error 401 and close code 4001, and is counted by its reason.
func TestTokens(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: locked})
	good := mint(t, "--user=ann")
	for _, c := range []*rawClient{
		first(connectRaw(t, h, `"token":"`+good+`"`)),
		first(connectRaw(t, h, "", "Authorization: Bearer "+good)),
	} {
		c.alive()
	}
	if _, connected := connectRaw(t, h, `"token":"`+good+`"`); connected.Connected.User != "ann" || connected.Connected.ExpiresMs == 0 {
		t.Errorf("got %s, want user ann and an expiry", connected.text)
	}

	same := func(jwt.MapClaims) {}
	hour := time.Hour
	bad := map[string]struct{ token, reason string }{
		"none":         {"", "missing"},
		"no JWT":       {"hello", "malformed"},
		"wrong tenant": {mint(t, "--user=ann", "--tenant=other"), "wrong_tenant"},
		"forged":       {mintWith(t, forgery, "--user=ann"), "bad_signature"},
		"tampered":     {good[:len(good)-6] + "AAAAAA", "bad_signature"},
		"alg none":     {craft(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same), "bad_signature"},
		"other alg":    {craft(t, jwt.SigningMethodHS512, []byte(secret), same), "bad_signature"},
		"expired":      {craft(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-hour).Unix() }), "expired"},
		"no exp":       {craft(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { delete(c, "exp") }), "bad_claims"},
		"future":       {craft(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(hour).Unix() }), "not_yet"},
	}
	want := map[string]float64{}
	for name, b := range bad {
		want[b.reason]++
		c := dialRaw(t, h)
		c.send(`{"id":1,"connect":{"token":%q}}`, b.token)
		if r := c.next(); r.ID != 1 || r.Error == nil || r.Error.Code != 401 || r.Error.Temporary {
			t.Errorf("%s: got %s, want error 401", name, r.text)
		}
		if code, last := c.closed(); code != cause.BadToken || last.Disconnect == nil || last.Disconnect.Code != int(cause.BadToken) {
			t.Errorf("%s: got close %d after %s, want %d", name, code, last.text, cause.BadToken)
		}
	}
	all := h.metrics()
	for reason, n := range want {
		if got := all[fmt.Sprintf("hawser_auth_verifications_total{reason=%q}", reason)]; got != n {
			t.Errorf("%v verifications with reason %s, want %v", got, reason, n)
		}
	}
	h.checkAccounts()
}

func first(c *rawClient, _ reply) *rawClient { return c }

// TestTokenExpires: a connection ends with its token, unless a client presents
// a new one in time.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: locked})
	var refreshes atomic.Int32
	c := dialSDK(t, h, client.Config{Token: func(_ context.Context, reason client.TokenReason) (string, error) {
		if reason == client.TokenRefresh {
			refreshes.Add(1)
		}
		return craft(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["exp"] = time.Now().Add(3 * time.Second).Unix() }), nil
	}})
	session := c.Session()
	other, forged, long := mint(t, "--user=bob"), mintWith(t, forgery, "--user=ann"), mint(t, "--user=ann")
	short := mint(t, "--user=ann", "--ttl=4s") // the last one: its time runs
	lazy, _ := connectRaw(t, h, `"token":"`+short+`"`)
	careful, _ := connectRaw(t, h, `"token":"`+short+`"`)
	careful.refused(403, `"refresh":{"token":"`+other+`"}`)
	careful.refused(401, `"refresh":{"token":"`+forged+`"}`)
	careful.send(`{"id":5,"refresh":{"token":%q}}`, long)
	if r := careful.next(); r.Refreshed == nil || r.Refreshed.ExpiresMs < 1000*60 {
		t.Fatalf("got %s, want refreshed for an hour", r.text)
	}

	if code, last := lazy.closed(); code != cause.TokenExpired || last.Disconnect == nil || !last.Disconnect.Reconnect {
		t.Errorf("got close %d after %s, want %d with reconnect", code, last.text, cause.TokenExpired)
	}
	careful.alive()
	eventually(t, "the SDK refreshed twice", func() bool { return refreshes.Load() >= 2 })
	if state, err := c.State(); state != client.Connected || c.Session() != session {
		t.Errorf("the SDK is %v after %v, want connected in one session", state, err)
	}
	if n := h.metric(closedBy("token_expired")); n != 1 {
		t.Errorf("%v connections closed for their token, want 1", n)
	}
}

// TestTokenGrants: class token lets in those whose token names the channel,
// and a refresh changes that for what comes.
func TestTokenGrants(t *testing.T) {
	t.Parallel()
	h := startHawser(t, setup{config: `
auth: {hmac_secret: "` + secret + `"}
channels:
  - {pattern: 'room.>', subscribe: token, publish: token, publish_to: channel}
  - {pattern: 'lobby', subscribe: allow}
`})
	c, _ := connectRaw(t, h, `"token":"`+mint(t, "--user=ann", "--sub=room.*", "--pub=room.a")+`"`)
	c.subscribe("room.a")
	c.subscribe("lobby")
	c.refused(403, `"subscribe":{"channel":"room.a.secret"}`)
	c.refused(404, `"subscribe":{"channel":"attic"}`)
	c.refused(403, `"publish":{"channel":"room.b","data":1}`)
	c.refused(403, `"publish":{"channel":"lobby","data":1}`)
	c.send(`{"publish":{"channel":"room.a","data":1}}`) // without an id: no answer
	if r := c.next(); r.Publication == nil || r.Publication.Channel != "room.a" {
		t.Errorf("got %s, want the own publication", r.text)
	}
	c.send(`{"id":5,"refresh":{"token":%q}}`, mint(t, "--user=ann"))
	if r := c.next(); r.Refreshed == nil {
		t.Fatalf("got %s, want refreshed", r.text)
	}
	c.refused(403, `"subscribe":{"channel":"room.b"}`)
	c.refused(403, `"publish":{"channel":"room.a","data":1}`)
}
