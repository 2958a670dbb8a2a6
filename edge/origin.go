package edge

import (
	"fmt"
	"net/url"
	"strings"
)

// originRule is one entry of Limits.Origins, parsed.
type originRule struct {
	any    bool
	scheme string
	host   string // with port, lower case
	suffix bool   // host is ".example.org": any subdomain
}

func parseOrigin(s string) (originRule, error) {
	if s == "*" {
		return originRule{any: true}, nil
	}
	u, err := url.Parse(strings.ToLower(s))
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return originRule{}, fmt.Errorf(`edge: origin %q: want "https://host", "https://*.host" or "*"`, s)
	}
	rule := originRule{scheme: u.Scheme, host: u.Host}
	if rest, ok := strings.CutPrefix(u.Host, "*."); ok {
		rule.host, rule.suffix = "."+rest, true
	}
	if strings.Contains(rule.host, "*") {
		return originRule{}, fmt.Errorf(`edge: origin %q: "*" only as the first label`, s)
	}
	return rule, nil
}

func (r originRule) allows(u *url.URL) bool {
	switch {
	case r.any:
		return true
	case u.Scheme != r.scheme:
		return false
	case r.suffix:
		return strings.HasSuffix(u.Host, r.host) && len(u.Host) > len(r.host)
	}
	return u.Host == r.host
}

// originAllowed checks the Origin header, RFC 6455 §10.2. Programs send none
// and pass: the check protects users of browsers from other people's pages.
func originAllowed(rules []originRule, origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil {
		return false
	}
	if len(rules) == 0 { // same host, whatever the scheme: TLS may end in front of us
		return u.Host != "" && u.Host == strings.ToLower(host)
	}
	for _, r := range rules {
		if r.allows(u) {
			return true
		}
	}
	return false
}
