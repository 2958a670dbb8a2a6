package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/cause"
)

// expiryMargin is how near its end a token is not worth connecting with.
const expiryMargin = 5 * time.Second

// renewToken asks the application for a token when there is none, when it has
// expired, or when reason says that the server wants another. Otherwise the
// present one serves, so that retries do not storm the issuer.
func (c *Client) renewToken(ctx context.Context, reason TokenReason) error {
	switch {
	case c.cfg.Token == nil:
		return nil
	case reason != "":
		c.hasToken = false
	case !c.hasToken:
		reason = TokenConnect
	case c.tokenExpires.IsZero() || time.Until(c.tokenExpires) > expiryMargin:
		return nil
	default:
		reason = TokenExpired
	}
	return c.askToken(ctx, reason)
}

// askToken keeps the answer of the application. Its expiry is not known until
// the server has seen it.
func (c *Client) askToken(ctx context.Context, reason TokenReason) error {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, err := c.cfg.Token(ctx, reason)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	c.token, c.hasToken, c.tokenExpires = token, true, time.Time{}
	return nil
}

// tokenFailure is the end of an attempt for which there was no token.
func tokenFailure(err error) *DisconnectError {
	d := lostPeer(err)
	if errors.Is(err, ErrUnauthorized) {
		d = disconnected(cause.BadToken, "", err)
		d.Advice = cause.Stop
	}
	return d
}

// noteExpiry keeps when the token runs out, and returns its life: 0 for ever.
func (c *Client) noteExpiry(expiresMs uint64) time.Duration {
	if expiresMs == 0 {
		c.tokenExpires = time.Time{}
		return 0
	}
	life := millis(expiresMs)
	c.tokenExpires = time.Now().Add(life)
	return life
}

// refreshAfter is between three quarters and seven eighths of a token's life:
// spread, as many clients may have got theirs at the same time.
func (c *Client) refreshAfter(life time.Duration) time.Duration {
	return life*3/4 + c.jitter(life/8)
}

// refresh presents a new token on the live connection. It returns when to do
// so again, 0 for never. What fails is tried again: the present token still
// has a while, and when it is over the server closes with token_expired.
func (c *Client) refresh(ctx context.Context, s *socket) time.Duration {
	again := backoffFirst + c.jitter(backoffMost)
	if err := c.askToken(ctx, TokenRefresh); err != nil {
		c.cfg.Logger.Info("client token refresh", "err", err)
		if errors.Is(err, ErrUnauthorized) {
			return 0
		}
		return again
	}
	call, cancel := c.bound(ctx)
	defer cancel()
	m, err := s.call(call, &clientv1.ClientMessage{Body: &clientv1.ClientMessage_Refresh{
		Refresh: &clientv1.Refresh{Token: c.token}}})
	if err != nil {
		c.cfg.Logger.Info("client token refresh", "err", err)
		return again
	}
	if life := c.noteExpiry(m.GetRefreshed().GetExpiresMs()); life > 0 {
		return c.refreshAfter(life)
	}
	return 0
}
