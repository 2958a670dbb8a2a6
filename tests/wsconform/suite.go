package wsconform

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// The defaults of Limits, which are the server's own defaults.
const (
	DefaultMaxMessageBytes = 64 << 10
	DefaultMaxFragments    = 1024
)

// Limits are those of the server, so that no case asks for what it must
// refuse, and each hostile stream asks for just too much.
type Limits struct {
	MaxMessageBytes int // default DefaultMaxMessageBytes; Autobahn's list goes up to 16 MiB
	MaxFragments    int // frames of one message; default DefaultMaxFragments
}

// withDefaults fills the fields left zero.
func (l Limits) withDefaults() Limits {
	if l.MaxMessageBytes == 0 {
		l.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if l.MaxFragments == 0 {
		l.MaxFragments = DefaultMaxFragments
	}
	return l
}

// Suite plays the case list against one server.
type Suite struct {
	Dial   Dial
	Offer  Offer // for the cases that compress; nil skips them
	Limits Limits

	// Patience is how long an answer that must come may take before the case
	// fails. Default 10s. Longer forgives a loaded machine.
	Patience time.Duration
	// FailFast is how long a server may take over a failure that is due at
	// once, before the case goes on and is NON-STRICT. Default 5s.
	FailFast time.Duration
	// Quiet is how long the connection is watched where nothing may come.
	// Default 50ms. Longer catches slower false alarms.
	Quiet time.Duration
}

// Run plays all cases against the server behind dial, with default Limits, and
// fails t for each one that is not OK.
func Run(t *testing.T, dial Dial) Report {
	t.Helper()
	return Suite{Dial: dial}.Run(t)
}

// Run plays all cases, one subtest each, fails t for each one that is
// NON-STRICT or FAILED, and logs the summary.
func (s Suite) Run(t *testing.T) Report {
	t.Helper()
	var report Report
	for _, c := range Cases() {
		if c.Skip != "" || c.offer != "" && s.Offer == nil {
			report = append(report, s.Play(c))
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			r := s.Play(c)
			report = append(report, r)
			if r.Behaviour == NonStrict || r.Behaviour == Failed {
				t.Errorf("%s: %s: %s: %s", r.Case.ID, r.Case.What, r.Behaviour, r.Reason)
			}
		})
	}
	t.Log(report.Summary())
	return report
}

// Play plays one case on a connection of its own.
func (s Suite) Play(c Case) Result {
	if c.offer != "" && s.Offer == nil {
		c.Skip = "12.* and 13.*: no compression in this run"
	}
	if c.Skip != "" {
		return Result{Case: c, Behaviour: Skipped, Reason: c.Skip}
	}
	sc := c.script(s.Limits.withDefaults())
	r := Result{Case: c, Reduced: sc.reduced}
	conn, err := s.dial(c.offer)
	if err != nil {
		r.Behaviour, r.Reason = Failed, err.Error()
		return r
	}
	r.Behaviour, r.Reason = sc.play(conn, c.offer != "", s.waits())
	return r
}

// dial connects, with compression when offer is not empty.
func (s Suite) dial(offer string) (net.Conn, error) {
	if offer == "" {
		return s.Dial()
	}
	conn, agreed, err := s.Offer(offer)
	if err != nil {
		return nil, err
	}
	if err := checkAgreed(agreed); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// waits are the times of s with defaults.
func (s Suite) waits() waits {
	w := waits{patience: s.Patience, failFast: s.FailFast, quiet: s.Quiet}
	if w.patience == 0 {
		w.patience = 10 * time.Second
	}
	if w.failFast == 0 {
		w.failFast = 5 * time.Second
	}
	if w.quiet == 0 {
		w.quiet = 50 * time.Millisecond
	}
	return w
}

// Report has one result for each case, in their order.
type Report []Result

// Count is how many cases had a behaviour.
func (r Report) Count(b Behaviour) int {
	n := 0
	for _, result := range r {
		if result.Behaviour == b {
			n++
		}
	}
	return n
}

// Summary is one line for each behaviour, and one for each reason to skip.
func (r Report) Summary() string {
	reduced := 0
	var skips []string
	for _, result := range r {
		if result.Reduced {
			reduced++
		}
		if result.Case.Skip != "" && !slices.Contains(skips, result.Case.Skip) {
			skips = append(skips, result.Case.Skip)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d cases:", len(r))
	for _, behaviour := range []Behaviour{OK, NonStrict, Failed, Informational, Skipped} {
		fmt.Fprintf(&b, " %d %s,", r.Count(behaviour), behaviour)
	}
	fmt.Fprintf(&b, " %d cut to the server's limits", reduced)
	for _, why := range skips {
		fmt.Fprintf(&b, "\nskipped: %s", why)
	}
	return b.String()
}

// Cases is the whole list, in Autobahn's order.
func Cases() []Case {
	return slices.Concat(
		framingCases(), pingCases(), reservedBitCases(), opcodeCases(), fragmentCases(),
		utf8Cases(), closeCases(), limitCases(), autoFragmentCases(), deflateCases())
}

// fixed is a script that no limit changes.
func fixed(s script) func(Limits) script { return func(Limits) script { return s } }

// number gives cases their numbers: prefix.1, prefix.2, …
func number(prefix string, cases []Case) []Case {
	for i := range cases {
		cases[i].ID = fmt.Sprintf("%s.%d", prefix, i+1)
	}
	return cases
}
