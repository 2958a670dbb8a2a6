package auth

import (
	"testing"

	"hawser/actors"
)

// BenchmarkVerify is one token with a cached key.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range Algorithms() {
		b.Run(alg, func(b *testing.B) {
			pair := keyPairs()[alg]
			cfg := secretConfig()
			key := testSecret
			if alg != HS256 {
				cfg.PublicKeys = []PublicKey{{ID: pair.ID, PEM: pair.Public}}
				key = pair.Private
			}
			v := newVerifier(b, cfg, Options{})
			claims := goodClaims().with(fields{"hw": fields{"sub": []string{"news", "room.*"}, "pub": []string{"room.*"}}})
			token := sign(b, alg, key, fields{"kid": pair.ID}, claims)
			done := func(_ actors.Identity, err error) {
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				v.Verify("demo", token, done)
			}
		})
	}
}

// BenchmarkForged is what a hostile token costs: one with an unknown key id,
// while no fetch is allowed, and one whose signature is bad.
func BenchmarkForged(b *testing.B) {
	pair := keyPairs()[ES256]
	cfg := DefaultConfig()
	cfg.PublicKeys = []PublicKey{{ID: pair.ID, PEM: pair.Public}}
	v := newVerifier(b, cfg, Options{})
	for name, token := range map[string]string{
		"unknown key":   sign(b, ES256, pair.Private, fields{"kid": "evil"}, goodClaims()),
		"bad signature": flipLast(sign(b, ES256, pair.Private, fields{"kid": pair.ID}, goodClaims())),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Verify("demo", token, func(_ actors.Identity, err error) {
					if err == nil {
						b.Fatal("accepted")
					}
				})
			}
		})
	}
}

func BenchmarkResume(b *testing.B) {
	r := newResumer(b, ResumeConfig{Secret: testSecret}, newTestClock())
	text := r.Issue(goodResume())
	b.Run("issue", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Issue(goodResume())
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Open(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
