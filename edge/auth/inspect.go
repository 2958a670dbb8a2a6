package auth

import (
	"context"
	"strings"
	"time"

	"hawser/actors"
)

// Inspection explains a token to a person. What it shows of an unverified
// token is what the token says of itself.
type Inspection struct {
	Algorithm string     `json:"algorithm,omitempty"`
	KeyID     string     `json:"key_id,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	User      string     `json:"user,omitempty"`
	Audience  []string   `json:"audience,omitempty"`
	Tenants   []string   `json:"tenants,omitempty"` // that aud and the claim "tenant" may mean
	IssuedAt  *time.Time `json:"issued_at,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Subscribe []string   `json:"subscribe,omitempty"`
	Publish   []string   `json:"publish,omitempty"`

	// Verified says that keys were asked: only Verifier.Inspect does. Without,
	// Accepted is false and Message tells of the token's form alone.
	Verified bool   `json:"verified"`
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason"`  // a Reason's name
	Message  string `json:"message"` // one sentence
	// Checks are the steps in the order they ran, up to the one that failed.
	Checks []Check `json:"checks,omitempty"`
}

// Check is one step of a verification.
type Check struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail,omitempty"` // why it failed
}

// steps are the checks in order, each with the reasons that fail it.
var steps = []struct {
	name  string
	fails []Reason
}{
	{"form", []Reason{ReasonMissing, ReasonTooLong, ReasonMalformed}},
	{"key", []Reason{ReasonOverflow, ReasonKeysUnavailable, ReasonUnknownKey}},
	{"signature", []Reason{ReasonBadSignature}},
	{"claims", []Reason{ReasonBadClaims}},
	{"time", []Reason{ReasonExpired, ReasonNotYet}},
	{"issuer", []Reason{ReasonWrongIssuer}},
	{"audience", []Reason{ReasonWrongAudience}},
	{"tenant", []Reason{ReasonWrongTenant}},
}

// Inspect explains a token without keys: what it says and whether its form is
// right. It never accepts one.
func Inspect(text string) Inspection {
	in, err := describe(text)
	in.conclude(err)
	in.Accepted = false
	if err == nil {
		in.Checks = []Check{{Name: "form", Passed: true}, {Name: "claims", Passed: true}}
		in.Message = "the form is right; signature, times and tenant were not checked, as no key was given"
	}
	return in
}

// Inspect explains a token and why this verifier accepts or refuses it for a
// tenant. An empty tenant stands for the first one that the token names. It
// waits for keys that must be fetched, at most until ctx ends.
func (v *Verifier) Inspect(ctx context.Context, tenant, text string) Inspection {
	in, _ := describe(text)
	if tenant == "" && len(in.Tenants) > 0 {
		tenant = in.Tenants[0]
	}
	in.Verified = true
	verdict := make(chan error, 1) // room for the one answer, wanted or not
	v.Verify(tenant, text, func(_ actors.Identity, err error) { verdict <- err })
	select {
	case err := <-verdict:
		in.conclude(err)
	case <-ctx.Done():
		in.conclude(unavailable())
	}
	return in
}

// describe fills in what the token says, as far as it can be read.
func describe(text string) (Inspection, error) {
	t, err := parseToken(text, maxTokenBytes)
	if err != nil {
		return Inspection{}, err
	}
	in := Inspection{Algorithm: t.header.alg, KeyID: t.header.keyID}
	c, err := parseClaims(t.payload)
	if err != nil {
		return in, refuse(ReasonBadClaims, "token %v", err)
	}
	in.Issuer, in.User, in.Audience = c.issuer, c.user, c.audience
	in.Tenants = tenantsOf(c)
	in.IssuedAt, in.NotBefore, in.Expires = optional(c.issuedAt), optional(c.notBefore), optional(c.expires)
	in.Subscribe, in.Publish = c.subscribe, c.publish
	return in, nil
}

// tenantsOf puts what is surely a tenant first: any other audience may be the
// name of an API.
func tenantsOf(c claims) []string {
	tenants := append([]string(nil), c.tenants...)
	for _, a := range c.audience {
		if tenant, prefixed := strings.CutPrefix(a, audiencePrefix); prefixed {
			tenants = append(tenants, tenant)
		}
	}
	if len(tenants) == 0 {
		return c.audience
	}
	return tenants
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (in *Inspection) conclude(err error) {
	reason := ReasonOf(err)
	in.Accepted, in.Reason, in.Message = err == nil, reason.String(), reason.Sentence()
	if err != nil {
		in.Message = err.Error()
	}
	in.Checks = checksUpTo(reason, in.Message)
}

func checksUpTo(reason Reason, message string) []Check {
	var checks []Check
	for _, step := range steps {
		for _, r := range step.fails {
			if r == reason {
				return append(checks, Check{Name: step.name, Detail: message})
			}
		}
		checks = append(checks, Check{Name: step.name, Passed: true})
	}
	return checks
}
