package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
)

// issuer is a token callback that numbers its tokens and notes the reasons.
type issuer struct {
	mu      sync.Mutex
	reasons []string
	err     error
}

func (i *issuer) token(_ context.Context, reason TokenReason) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reasons = append(i.reasons, string(reason))
	if i.err != nil {
		return "", i.err
	}
	return fmt.Sprintf("token%d", len(i.reasons)), nil
}

func TestTokenIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		f := newFake(t)
		f.refused = 5
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		connect(t, c)
		f.kill()
		synctest.Wait()
		connect(t, c)
		if want := []string{"connect"}; !slices.Equal(i.reasons, want) {
			t.Errorf("asked for %v, want %v: retries use the token there is", i.reasons, want)
		}
	})
}

func TestTokenIsReplacedWhenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		var got []string
		f := newFake(t)
		f.onConnect = func(m *clientv1.Connect) *clientv1.ServerMessage {
			if got = append(got, m.Token); len(got) == 1 {
				return disconnectMessage(cause.BadToken, 0)
			}
			return connectedAnswer(0)
		}
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		connect(t, c)
		if want := []string{"token1", "token2"}; !slices.Equal(got, want) {
			t.Errorf("presented %v, want %v", got, want)
		}
		if want := []string{"connect", "rejected"}; !slices.Equal(i.reasons, want) {
			t.Errorf("asked for %v, want %v", i.reasons, want)
		}
	})
}

func TestTokenCircuitBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		f := newFake(t)
		f.onConnect = func(*clientv1.Connect) *clientv1.ServerMessage {
			return errorAnswer(&clientv1.Error{Code: 401, Message: "forged"})
		}
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		err := c.Connect(t.Context())
		var d *DisconnectError
		if !errors.As(err, &d) || d.Cause.Code != cause.BadToken {
			t.Errorf("got %v, want bad_token", err)
		}
		if want := []string{"connect", "rejected", "rejected"}; !slices.Equal(i.reasons, want) {
			t.Errorf("asked for %v, want %v", i.reasons, want)
		}
	})
}

func TestTokenIsRefreshedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		f := newFake(t)
		f.onConnect = func(*clientv1.Connect) *clientv1.ServerMessage { return connectedAnswer(60_000) }
		var at []time.Duration
		begin := time.Now()
		f.onRefresh = func(string) *clientv1.ServerMessage {
			at = append(at, time.Since(begin))
			return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Refreshed{Refreshed: &clientv1.Refreshed{ExpiresMs: 60_000}}}
		}
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		connect(t, c)
		pass(110 * time.Second)
		if len(at) != 2 || at[0] < 45*time.Second || at[0] > 53*time.Second || at[1]-at[0] < 45*time.Second {
			t.Errorf("refreshed at %v, want twice, each between 45s and 52.5s of the token's life", at)
		}
		want := []string{"connect", "refresh token2", "refresh token3"}
		if got := f.commands(); !slices.Equal(got, want) {
			t.Errorf("commands: got %v, want %v", got, want)
		}
	})
}

func TestTokenRefreshFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		f := newFake(t)
		f.onConnect = func(*clientv1.Connect) *clientv1.ServerMessage { return connectedAnswer(600_000) }
		refusals := 2
		f.onRefresh = func(string) *clientv1.ServerMessage {
			if refusals--; refusals >= 0 {
				return errorAnswer(&clientv1.Error{Code: 503, Message: "keys not there yet", Temporary: true})
			}
			return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Refreshed{Refreshed: &clientv1.Refreshed{}}}
		}
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		connect(t, c)
		pass(600 * time.Second)
		want := []string{"connect", "refresh token2", "refresh token3", "refresh token4"}
		if got := f.commands(); !slices.Equal(got, want) {
			t.Errorf("commands: got %v, want %v", got, want)
		}
	})
}

func TestTokenExpiredWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var i issuer
		f := newFake(t)
		f.onConnect = func(*clientv1.Connect) *clientv1.ServerMessage { return connectedAnswer(60_000) }
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		connect(t, c)
		f.disconnect(cause.Shutdown, 2*time.Minute)
		synctest.Wait()
		connect(t, c)
		if want := []string{"connect", "expired"}; !slices.Equal(i.reasons, want) {
			t.Errorf("asked for %v, want %v", i.reasons, want)
		}
	})
}

func TestTokenCallbackErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := issuer{err: errors.New("identity provider is down")}
		f := newFake(t)
		c := start(t, f, func(cfg *Config) { cfg.Token = i.token })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.Connect(ctx); err == nil || !strings.Contains(err.Error(), "identity provider is down") {
			t.Errorf("got %v", err)
		}
		if len(i.reasons) < 2 {
			t.Errorf("asked %d times: want retries", len(i.reasons))
		}
		i.mu.Lock()
		i.err = fmt.Errorf("account closed: %w", ErrUnauthorized)
		i.mu.Unlock()
		pass(time.Minute)
		if state, err := c.State(); state != Failed || !errors.Is(err, ErrUnauthorized) {
			t.Errorf("got %v, %v, want failed", state, err)
		}
		if f.dials != 0 {
			t.Errorf("dialed %d times without a token", f.dials)
		}
	})
}
