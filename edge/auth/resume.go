package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"hawser/actors"
	"hawser/proto/names"
)

// MaxSessionBytes is the longest session id that a resume token can carry.
const MaxSessionBytes = 64

// Layout of a resume token before base64url: version byte; generation and
// expiry as uvarints, the latter in ms since 1970; session, tenant and user,
// each after its length as a uvarint; tag.
const (
	resumeVersion = 1
	// resumeTagBytes is HMAC-SHA256 cut in half, the least that RFC 2104 §5
	// advises. 128 bits cannot be guessed online.
	resumeTagBytes = 16
	maxResumeBody  = 1 + 2*binary.MaxVarintLen64 + 3*2 + MaxSessionBytes + names.MaxTenantBytes + names.MaxUserBytes
	// MaxResumeTokenBytes is the longest resume token there is; a longer text
	// is refused unread.
	MaxResumeTokenBytes = (maxResumeBody+resumeTagBytes)*4/3 + 1
)

// resumeLabel separates this use of a secret from any other, such as HS256.
const resumeLabel = "hawser resume token v1"

// ResumeConfig has the secrets of resume tokens. All nodes of a cluster need
// the same ones.
type ResumeConfig struct {
	// Secret seals. At least 32 bytes. Default empty: random, so that tokens
	// are good at this process only and until it ends.
	Secret string
	// Previous is the secret before the last rotation; tokens sealed with it
	// still open. Drop it after the resume window has passed. Default empty.
	Previous string
}

// Validate reports the first field that cannot work. It never repeats a secret.
func (c ResumeConfig) Validate() error {
	if c.Secret != "" && len(c.Secret) < minSecretBytes {
		return fmt.Errorf("auth: resume Secret has %d bytes: want at least %d", len(c.Secret), minSecretBytes)
	}
	if c.Previous != "" && c.Secret == "" {
		return errors.New("auth: resume Previous is set without Secret: want the current secret too")
	}
	if c.Previous != "" && len(c.Previous) < minSecretBytes {
		return fmt.Errorf("auth: resume Previous has %d bytes: want at least %d", len(c.Previous), minSecretBytes)
	}
	return nil
}

// ResumeClaims is what a resume token carries from one socket to the next.
type ResumeClaims struct {
	Session    string // at most MaxSessionBytes
	Tenant     string
	User       string // empty for an anonymous client
	Generation uint64 // of the session; a later one fences this out
	Expires    time.Time
}

// Resumer seals and opens resume tokens. The contents are signed and not
// encrypted: a client can read its own session id in them. Its methods may be
// called from any goroutine and never block.
type Resumer struct {
	// Immutable after NewResumer.
	clock actors.Clock
	keys  [][]byte // derived; the first one seals, all open
}

// NewResumer makes a resumer. A nil clock is the system's.
func NewResumer(cfg ResumeConfig, clock actors.Clock) (*Resumer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if clock == nil {
		clock = systemClock{}
	}
	if cfg.Secret == "" {
		cfg.Secret = rand.Text() // 128 bits
	}
	r := &Resumer{clock: clock, keys: [][]byte{deriveKey(cfg.Secret)}}
	if cfg.Previous != "" {
		r.keys = append(r.keys, deriveKey(cfg.Previous))
	}
	return r, nil
}

func deriveKey(secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(resumeLabel))
	return mac.Sum(nil)
}

// Issue seals claims. Expires is kept to the millisecond. It panics when a
// name is longer than its limit or Expires is before 1970: session, tenant and
// user were all checked when the client connected.
func (r *Resumer) Issue(c ResumeClaims) string {
	if len(c.Session) > MaxSessionBytes || len(c.Tenant) > names.MaxTenantBytes || len(c.User) > names.MaxUserBytes || c.Expires.UnixMilli() < 0 {
		panic(fmt.Sprintf("auth: resume claims out of range: session %d bytes, tenant %d, user %d, expires %v",
			len(c.Session), len(c.Tenant), len(c.User), c.Expires))
	}
	b := make([]byte, 0, maxResumeBody+resumeTagBytes)
	b = append(b, resumeVersion)
	b = binary.AppendUvarint(b, c.Generation)
	b = binary.AppendUvarint(b, uint64(c.Expires.UnixMilli()))
	for _, s := range []string{c.Session, c.Tenant, c.User} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return base64url.EncodeToString(append(b, tag(r.keys[0], b)...))
}

// Open returns what Issue sealed, or an *Error with ReasonTooLong,
// ReasonMalformed, ReasonBadSignature or ReasonExpired. With ReasonExpired the
// claims are there too: a session that is still up outlives its token. The
// caller still has to compare tenant and user with those of the new
// connection.
func (r *Resumer) Open(text string) (ResumeClaims, error) {
	if len(text) > MaxResumeTokenBytes {
		return ResumeClaims{}, refuse(ReasonTooLong, "resume token has %d bytes: want at most %d", len(text), MaxResumeTokenBytes)
	}
	raw, err := base64url.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(raw) <= resumeTagBytes {
		return ResumeClaims{}, refuse(ReasonMalformed, "resume token is not one of ours")
	}
	body, sum := raw[:len(raw)-resumeTagBytes], raw[len(raw)-resumeTagBytes:]
	if !r.sealed(body, sum) {
		return ResumeClaims{}, refuse(ReasonBadSignature, "resume token is not of this cluster, or its secret was changed")
	}
	c, err := parseResume(body)
	if err != nil {
		return ResumeClaims{}, refuse(ReasonMalformed, "resume token %v", err)
	}
	if past := r.clock.Now().Sub(c.Expires); past >= 0 {
		return c, refuse(ReasonExpired, "resume token expired %s ago", about(past))
	}
	return c, nil
}

// sealed compares in constant time.
func (r *Resumer) sealed(body, sum []byte) bool {
	for _, key := range r.keys {
		if hmac.Equal(tag(key, body), sum) {
			return true
		}
	}
	return false
}

func tag(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)[:resumeTagBytes]
}

// parseResume reads a body whose tag is good. It still trusts no length: an
// older or newer version may have sealed it.
func parseResume(body []byte) (ResumeClaims, error) {
	if body[0] != resumeVersion {
		return ResumeClaims{}, fmt.Errorf("has version %d: want %d", body[0], resumeVersion)
	}
	d := resumeDecoder{rest: body[1:]}
	c := ResumeClaims{Generation: d.uvarint()}
	c.Expires = time.UnixMilli(int64(d.uvarint()))
	c.Session = d.text(MaxSessionBytes)
	c.Tenant = d.text(names.MaxTenantBytes)
	c.User = d.text(names.MaxUserBytes)
	if d.bad || len(d.rest) > 0 {
		return ResumeClaims{}, errors.New("does not parse")
	}
	return c, nil
}

// resumeDecoder reads fields until one is bad; then all are zero.
type resumeDecoder struct {
	rest []byte
	bad  bool
}

func (d *resumeDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *resumeDecoder) text(most uint64) string {
	n := d.uvarint()
	if n > most || n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
