package auth

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"
	"time"

	"hawser/proto/names"
)

func newResumer(t testing.TB, cfg ResumeConfig, clock *testClock) *Resumer {
	t.Helper()
	r, err := NewResumer(cfg, clock)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func goodResume() ResumeClaims {
	return ResumeClaims{Session: "s-1", Tenant: "demo", User: "ann", Generation: 7, Expires: epoch.Add(time.Minute)}
}

func same(a, b ResumeClaims) bool {
	equal := a.Expires.Equal(b.Expires)
	a.Expires, b.Expires = time.Time{}, time.Time{}
	return equal && a == b
}

func TestResumeRoundTrip(t *testing.T) {
	r := newResumer(t, ResumeConfig{Secret: testSecret}, newTestClock())
	longest := ResumeClaims{
		Session:    strings.Repeat("s", MaxSessionBytes),
		Tenant:     strings.Repeat("t", names.MaxTenantBytes),
		User:       strings.Repeat("\xff", names.MaxUserBytes),
		Generation: math.MaxUint64,
		Expires:    time.UnixMilli(math.MaxInt64),
	}
	for _, want := range []ResumeClaims{goodResume(), {Session: "s", Tenant: "t", Expires: epoch.Add(time.Millisecond)}, longest} {
		text := r.Issue(want)
		if len(text) > MaxResumeTokenBytes {
			t.Errorf("token of %+v has %d bytes, want at most %d", want, len(text), MaxResumeTokenBytes)
		}
		got, err := r.Open(text)
		if err != nil || !same(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if a, b := r.Issue(goodResume()), r.Issue(goodResume()); a != b {
		t.Errorf("issued twice: got %s and %s, want the same", a, b)
	}
}

func TestResumeExpires(t *testing.T) {
	clock := newTestClock()
	r := newResumer(t, ResumeConfig{}, clock)
	text := r.Issue(goodResume())
	clock.Advance(time.Minute - 1)
	if _, err := r.Open(text); err != nil {
		t.Fatal(err)
	}
	clock.Advance(1)
	_, err := r.Open(text)
	wantReason(t, err, ReasonExpired, false)
}

func TestResumeRotation(t *testing.T) {
	clock := newTestClock()
	old := newResumer(t, ResumeConfig{Secret: previousSecret}, clock)
	both := newResumer(t, ResumeConfig{Secret: testSecret, Previous: previousSecret}, clock)
	late := newResumer(t, ResumeConfig{Secret: testSecret}, clock)
	if _, err := both.Open(old.Issue(goodResume())); err != nil {
		t.Errorf("sealed before the rotation: %v", err)
	}
	if _, err := late.Open(both.Issue(goodResume())); err != nil {
		t.Errorf("sealed with the new secret: %v", err)
	}
	_, err := late.Open(old.Issue(goodResume()))
	wantReason(t, err, ReasonBadSignature, false)
	random := newResumer(t, ResumeConfig{}, clock)
	_, err = newResumer(t, ResumeConfig{}, clock).Open(random.Issue(goodResume()))
	wantReason(t, err, ReasonBadSignature, false)
}

// TestResumeBitFlips: no single changed bit gets through.
func TestResumeBitFlips(t *testing.T) {
	r := newResumer(t, ResumeConfig{Secret: testSecret}, newTestClock())
	raw, err := base64.RawURLEncoding.DecodeString(r.Issue(goodResume()))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		raw[bit/8] ^= 1 << (bit % 8)
		_, err := r.Open(base64.RawURLEncoding.EncodeToString(raw))
		wantReason(t, err, ReasonBadSignature, false)
		raw[bit/8] ^= 1 << (bit % 8)
	}
}

func TestResumeRefuses(t *testing.T) {
	r := newResumer(t, ResumeConfig{Secret: testSecret}, newTestClock())
	good := r.Issue(goodResume())
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text string
		want Reason
	}{
		"empty":         {"", ReasonMalformed},
		"short":         {"AAAA", ReasonMalformed},
		"tag alone":     {base64.RawURLEncoding.EncodeToString(make([]byte, resumeTagBytes)), ReasonMalformed},
		"long":          {strings.Repeat("A", MaxResumeTokenBytes+1), ReasonTooLong},
		"longest":       {strings.Repeat("A", MaxResumeTokenBytes-1), ReasonBadSignature},
		"padding":       {good + "=", ReasonMalformed},
		"line break":    {good + "\n", ReasonMalformed},
		"cut":           {base64.RawURLEncoding.EncodeToString(raw[:len(raw)-1]), ReasonBadSignature},
		"a JWT":         {signSecret(t, nil, goodClaims()), ReasonMalformed},
		"other version": {seal(r, "\x02\x01\x01\x00\x00\x00"), ReasonMalformed},
		"trailing":      {seal(r, "\x01\x01\x01\x00\x00\x00x"), ReasonMalformed},
		"cut body":      {seal(r, "\x01\x01\x01\x05ab"), ReasonMalformed},
		"long session":  {seal(r, "\x01\x01\x01\x41"+strings.Repeat("s", 65)+"\x00\x00"), ReasonMalformed},
		"long varint":   {seal(r, "\x01"+strings.Repeat("\xff", 11)), ReasonMalformed},
		"before 1970":   {seal(r, "\x01\x01"+strings.Repeat("\xff", 9)+"\x01\x00\x00\x00"), ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Open(tc.text)
			wantReason(t, err, tc.want, false)
		})
	}
}

// seal gives any body a good tag.
func seal(r *Resumer, body string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte(body), tag(r.keys[0], []byte(body))...))
}

func TestResumeIssuePanics(t *testing.T) {
	r := newResumer(t, ResumeConfig{}, newTestClock())
	for _, c := range []ResumeClaims{
		{Session: strings.Repeat("s", MaxSessionBytes+1), Expires: epoch},
		{Tenant: strings.Repeat("t", names.MaxTenantBytes+1), Expires: epoch},
		{User: strings.Repeat("u", names.MaxUserBytes+1), Expires: epoch},
		{Session: "s"}, // no expiry
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Issue(%+v) returned, want a panic", c)
				}
			}()
			r.Issue(c)
		}()
	}
}

func TestResumeConfig(t *testing.T) {
	for _, cfg := range []ResumeConfig{{Secret: "short"}, {Previous: previousSecret}, {Secret: testSecret, Previous: "short"}} {
		if _, err := NewResumer(cfg, nil); err == nil || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%d and %d bytes: got %v, want an error without the secret", len(cfg.Secret), len(cfg.Previous), err)
		}
	}
	if _, err := NewResumer(ResumeConfig{}, nil); err != nil {
		t.Error(err)
	}
}
