package fabric

import (
	"errors"
	"fmt"
	"strings"

	"hawser/proto/names"
)

// subjects makes and reads the subjects of one prefix. It is immutable.
type subjects struct {
	fire, in, rpc, user, session string // each ends in a dot
	canary                       string // whole subject
}

func newSubjects(prefix, node string) subjects {
	return subjects{
		fire:    prefix + ".fire.",
		in:      prefix + ".in.",
		rpc:     prefix + ".rpc.",
		user:    prefix + ".user.",
		session: prefix + ".session.",
		canary:  "_" + prefix + ".canary." + node,
	}
}

// kind is what a subject that came in is about.
type kind uint8

// The kinds.
const (
	kindForeign kind = iota // none of ours, or malformed
	kindFire
	kindUser
	kindSession
	kindCanary
)

// parse splits a subject that came in. Whoever may publish below our prefix
// chooses it, so everything is checked; name is the channel, the user id or
// the session id.
func (s *subjects) parse(subject string) (k kind, tenant, name string) {
	switch {
	case strings.HasPrefix(subject, s.fire):
		k, subject = kindFire, subject[len(s.fire):]
	case strings.HasPrefix(subject, s.session):
		k, subject = kindSession, subject[len(s.session):]
	case strings.HasPrefix(subject, s.user):
		k, subject = kindUser, subject[len(s.user):]
	case subject == s.canary:
		return kindCanary, "", ""
	default:
		return kindForeign, "", ""
	}
	tenant, name, _ = strings.Cut(subject, ".")
	if names.CheckTenant(tenant) != nil {
		return kindForeign, "", ""
	}
	var err error
	switch k {
	case kindFire:
		err = names.CheckChannel(name)
	case kindSession:
		err = checkSession(name)
	case kindUser:
		name, err = parseUser(name)
	}
	if err != nil {
		return kindForeign, "", ""
	}
	return k, tenant, name
}

// parseUser reads an escaped user id. A dot in it would be a second token.
func parseUser(token string) (string, error) {
	if strings.Contains(token, ".") {
		return "", errors.New("user has two tokens")
	}
	return names.UnescapeUser(token)
}

// fireSubject is the subject of a channel, or why there is none.
func (s *subjects) fireSubject(tenant, channel string) (string, *Error) {
	return dotted(s.fire, tenant, channel, names.CheckChannel)
}

// dotted joins prefix, tenant and name when both are good.
func dotted(prefix, tenant, name string, check func(string) error) (string, *Error) {
	if err := names.CheckTenant(tenant); err != nil {
		return "", badName(err)
	}
	if err := check(name); err != nil {
		return "", badName(err)
	}
	return prefix + tenant + "." + name, nil
}

// checkSession reports why s cannot be a session id.
func checkSession(s string) error {
	const most = 128 // bytes; subjects stay below 256
	if len(s) > most || !names.IsToken(s) {
		return fmt.Errorf("session %q: want 1 to %d letters, digits, _ and -", names.Clip(s), most)
	}
	return nil
}

// checkSender reports why a user and a session cannot be headers. NATS trims
// header values, so " ann" would reach the application as "ann".
func checkSender(user, session string) *Error {
	if err := checkSession(session); err != nil {
		return badName(err)
	}
	if user == "" {
		return nil
	}
	if err := names.CheckUser(user); err != nil {
		return badName(err)
	}
	if strings.TrimSpace(user) != user {
		return badName(fmt.Errorf("user %q begins or ends with a space", names.Clip(user)))
	}
	return nil
}

// isInbox reports whether an answer may go to subject. A publisher chooses the
// reply subject, and this node's rights are wider than his: an answer sent
// wherever he likes would let him write, say, to another tenant's channels.
// _R_ is what NATS makes of an inbox across accounts.
func isInbox(subject string) bool {
	return strings.HasPrefix(subject, "_INBOX") || strings.HasPrefix(subject, "_R_.")
}
