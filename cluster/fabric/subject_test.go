package fabric

import (
	"strings"
	"testing"

	"hawser/proto/names"
)

func TestParseSubject(t *testing.T) {
	s := newSubjects("hw", "n1")
	for _, c := range []struct {
		subject      string
		kind         kind
		tenant, name string
	}{
		{"hw.fire.acme.room", kindFire, "acme", "room"},
		{"hw.fire.acme.a.b.c", kindFire, "acme", "a.b.c"},
		{"hw.user.acme.ann", kindUser, "acme", "ann"},
		{"hw.user.acme.ann%40example%2Eorg", kindUser, "acme", "ann@example.org"},
		{"hw.session.acme.s-1_x", kindSession, "acme", "s-1_x"},
		{"_hw.canary.n1", kindCanary, "", ""},
		{"_hw.canary.n2", kindForeign, "", ""},
		{"hw.fire.acme", kindForeign, "", ""},
		{"hw.fire.acme.", kindForeign, "", ""},
		{"hw.fire..room", kindForeign, "", ""},
		{"hw.fire.acme.*", kindForeign, "", ""},
		{"hw.fire.acme.a.>", kindForeign, "", ""},
		{"hw.fire.acme." + strings.Repeat("a.", 12) + "a", kindForeign, "", ""},
		{"hw.in.acme.room", kindForeign, "", ""},
		{"hwx.fire.acme.room", kindForeign, "", ""},
		{"", kindForeign, "", ""},
	} {
		k, tenant, name := s.parse(c.subject)
		if k != c.kind || tenant != c.tenant || name != c.name {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.subject, k, tenant, name, c.kind, c.tenant, c.name)
		}
	}
}

// Whatever comes in, only good names go on, and they lead back to the subject.
func FuzzParseSubject(f *testing.F) {
	for _, seed := range []string{"hw.fire.acme.room", "hw.user.acme.a%40b", "hw.session.acme.s", "_hw.canary.n1", "hw.user..", "hw.user.acme.%"} {
		f.Add(seed)
	}
	s := newSubjects("hw", "n1")
	f.Fuzz(func(t *testing.T, subject string) {
		k, tenant, name := s.parse(subject)
		if k == kindForeign || k == kindCanary {
			if tenant != "" || name != "" {
				t.Errorf("%q: got names %q %q without a kind", subject, tenant, name)
			}
			return
		}
		if err := names.CheckTenant(tenant); err != nil {
			t.Errorf("%q: %v", subject, err)
		}
		switch k {
		case kindFire:
			if back, err := s.fireSubject(tenant, name); err != nil || back != subject {
				t.Errorf("%q: back is %q, %v", subject, back, err)
			}
		case kindUser:
			if err := names.CheckUser(name); err != nil {
				t.Errorf("%q: %v", subject, err)
			}
			if _, _, again := s.parse(s.user + tenant + "." + names.EscapeUser(name)); again != name {
				t.Errorf("%q: escaped and parsed is %q, want %q", subject, again, name)
			}
		case kindSession:
			if err := checkSession(name); err != nil {
				t.Errorf("%q: %v", subject, err)
			}
		}
	})
}
