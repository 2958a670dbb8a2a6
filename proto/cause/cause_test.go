package cause

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTable checks what code, docs, metrics and SDKs rely on.
func TestTable(t *testing.T) {
	names, codes := map[string]bool{}, map[Code]bool{}
	label := regexp.MustCompile(`^[a-z]+(_[a-z0-9]+)*$`)
	for _, row := range Table {
		if codes[row.Code] || names[row.Name] {
			t.Errorf("%d %s: the code or the name is there twice", row.Code, row.Name)
		}
		codes[row.Code], names[row.Name] = true, true
		if !label.MatchString(row.Name) {
			t.Errorf("%d: name %q: want a metric label", row.Code, row.Name)
		}
		if !slices.Contains([]Who{Client, Server, Network}, row.Who) {
			t.Errorf("%s: who %q: want one of the sides", row.Name, row.Who)
		}
		if !slices.Contains([]Advice{Retry, Token, Stop}, row.Advice) {
			t.Errorf("%s: advice %q: want one of the advices", row.Name, row.Advice)
		}
		if !strings.HasSuffix(row.Sentence, ".") || row.Sentence[:1] == strings.ToLower(row.Sentence[:1]) && !strings.HasPrefix(row.Sentence, "hawser") {
			t.Errorf("%s: %q: want a sentence, with a capital and a period", row.Name, row.Sentence)
		}
		// RFC 6455 §5.5: a close frame carries at most 125 bytes, the code's 2
		// included; the reason is the name.
		if len(row.Name) > 123 {
			t.Errorf("%s: too long for a close frame", row.Name)
		}
	}
	if !slices.IsSortedFunc(Table[:], func(a, b Cause) int { return int(a.Code) - int(b.Code) }) {
		t.Error("the table is not in the order of its codes")
	}
}

// TestOnWire: RFC 6455 §7.4 says which codes a close frame may carry.
func TestOnWire(t *testing.T) {
	for _, row := range Table {
		if got := sendable(row.Code); got != row.OnWire {
			t.Errorf("%d %s: OnWire is %v, RFC 6455 says %v", row.Code, row.Name, row.OnWire, got)
		}
	}
}

// sendable is §7.4.1 and §7.4.2, with 1012 to 1014 of IANA's registry: 1004 is
// reserved; 1005, 1006 and 1015 are never sent; 4000 to 4999 are private.
func sendable(c Code) bool {
	switch {
	case c >= 1000 && c <= 1014:
		return c != 1004 && c != 1005 && c != 1006
	case c >= 3000 && c <= 4999:
		return true
	}
	return false
}

func TestOf(t *testing.T) {
	for _, row := range Table {
		if got := Of(row.Code); got != row {
			t.Errorf("Of(%d): got %+v, want %+v", row.Code, got, row)
		}
		if got := row.Code.String(); got != row.Name {
			t.Errorf("%d.String(): got %q, want %q", row.Code, got, row.Name)
		}
		if got := row.Reconnect(); got != (row.Advice != Stop) {
			t.Errorf("%s: Reconnect is %v with advice %s", row.Name, got, row.Advice)
		}
	}
	for _, c := range []Code{0, 999, 1004, 3000, 4000, 4999, 65535} {
		if got := Of(c).Code; got != ClientClosed {
			t.Errorf("Of(%d): got %d, want %d: only a client may have sent it", c, got, ClientClosed)
		}
	}
}
