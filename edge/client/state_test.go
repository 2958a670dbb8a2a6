package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hawser/proto/cause"
)

// lostBy is the event of attempt n ending with code.
func lostBy(n int, code cause.Code, after time.Duration) lost {
	d := disconnected(code, "", nil)
	d.RetryAfter = after
	return lost{n, d}
}

func describe(effects []effect) string {
	var out []string
	for _, e := range effects {
		switch e := e.(type) {
		case enter:
			out = append(out, "enter "+e.state.String())
		case dial:
			out = append(out, strings.TrimSpace(fmt.Sprintf("dial %d %s", e.attempt, e.reason)))
		case wait:
			out = append(out, fmt.Sprintf("wait %v+%v", e.floor, e.ceiling))
		default:
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", e), "client."))
		}
	}
	return strings.Join(out, ", ")
}

func TestStep(t *testing.T) {
	type line struct {
		event event
		want  string
	}
	const second = time.Second
	stories := []struct {
		name  string
		m     machine
		lines []line
	}{
		{"a life without trouble", machine{}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{established{1}, "watch, enter connected"},
			{stableDue{}, ""},
			{closeCalled{}, "unwatch, hangUp, enter closed"},
			{lostBy(1, cause.ClientClosed, 0), ""},
			{connectCalled{}, ""},
			{closeCalled{}, ""},
		}},
		{"backoff doubles to its most, and the floor is kept apart", machine{}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{lostBy(1, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+500ms"},
			{retryDue{}, "enter connecting, dial 2"},
			{lostBy(2, cause.Overload, 3*second), "unwatch, enter suspended, wait 3s+1s"},
			{retryDue{}, "enter connecting, dial 3"},
			{lostBy(3, cause.Shutdown, 0), "unwatch, enter suspended, wait 0s+2s"},
			{retryDue{}, "enter connecting, dial 4"},
			{lostBy(4, cause.Internal, 0), "unwatch, enter suspended, wait 0s+4s"},
			{retryDue{}, "enter connecting, dial 5"},
			{lostBy(5, cause.PongTimeout, 0), "unwatch, enter suspended, wait 0s+8s"},
			{retryDue{}, "enter connecting, dial 6"},
			{lostBy(6, cause.SlowConsumer, 0), "unwatch, enter suspended, wait 0s+16s"},
			{retryDue{}, "enter connecting, dial 7"},
			{lostBy(7, cause.RateLimited, 0), "unwatch, enter suspended, wait 0s+20s"},
			{retryDue{}, "enter connecting, dial 8"},
			{lostBy(8, cause.ConnectTimeout, 0), "unwatch, enter suspended, wait 0s+20s"},
		}},
		{"a connection that flaps is a failure until it is stable", machine{}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{established{1}, "watch, enter connected"},
			{lostBy(1, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+500ms"},
			{retryDue{}, "enter connecting, dial 2"},
			{established{2}, "watch, enter connected"},
			{lostBy(2, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+1s"},
			{retryDue{}, "enter connecting, dial 3"},
			{established{3}, "watch, enter connected"},
			{stableDue{}, ""},
			{lostBy(3, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+500ms"},
		}},
		{"stop is obeyed, and the application may start over", machine{}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{established{1}, "watch, enter connected"},
			{lostBy(1, cause.Kicked, 0), "unwatch, enter failed"},
			{retryDue{}, ""},
			{connectCalled{}, "enter connecting, dial 2"},
		}},
		{"a refused token is replaced, three times at most", machine{canRenew: true, maxRejections: 3}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{lostBy(1, cause.BadToken, 0), "unwatch, enter suspended, wait 0s+500ms"},
			{retryDue{}, "enter connecting, dial 2 rejected"},
			{lostBy(2, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+1s"},
			{retryDue{}, "enter connecting, dial 3"},
			{lostBy(3, cause.TokenExpired, 0), "unwatch, enter suspended, wait 0s+2s"},
			{retryDue{}, "enter connecting, dial 4 expired"},
			{lostBy(4, cause.BadToken, 0), "unwatch, enter failed"},
		}},
		{"an accepted token forgives the refusals before it", machine{canRenew: true, maxRejections: 2}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{lostBy(1, cause.BadToken, 0), "unwatch, enter suspended, wait 0s+500ms"},
			{retryDue{}, "enter connecting, dial 2 rejected"},
			{established{2}, "watch, enter connected"},
			{lostBy(2, cause.TokenExpired, 0), "unwatch, enter suspended, wait 0s+1s"},
			{retryDue{}, "enter connecting, dial 3 expired"},
		}},
		{"without a callback a refused token is the end", machine{maxRejections: 3}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{lostBy(1, cause.BadToken, 0), "unwatch, enter failed"},
		}},
		{"late events of an older attempt change nothing", machine{}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{lostBy(1, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+500ms"},
			{established{1}, ""},
			{retryDue{}, "enter connecting, dial 2"},
			{lostBy(1, cause.Kicked, 0), ""},
			{established{1}, ""},
			{stableDue{}, ""},
			{connectCalled{}, ""},
			{retryDue{}, ""},
			{established{2}, "watch, enter connected"},
			{established{2}, ""},
		}},
		{"close while waiting", machine{}, []line{
			{connectCalled{}, "enter connecting, dial 1"},
			{lostBy(1, cause.PeerLost, 0), "unwatch, enter suspended, wait 0s+500ms"},
			{closeCalled{}, "unwatch, hangUp, enter closed"},
			{retryDue{}, ""},
		}},
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			m := story.m
			for i, l := range story.lines {
				var effects []effect
				m, effects = m.step(l.event)
				if got := describe(effects); got != l.want {
					t.Fatalf("line %d, %T: got %q, want %q", i, l.event, got, l.want)
				}
			}
		})
	}
}

func TestStepFollowsTheTable(t *testing.T) {
	want := map[cause.Advice]State{cause.Retry: Suspended, cause.Token: Suspended, cause.Stop: Failed}
	for _, row := range cause.Table {
		m := machine{state: Connected, attempt: 1, canRenew: true, maxRejections: 2}
		if m, _ = m.step(lostBy(1, row.Code, 0)); m.state != want[row.Advice] {
			t.Errorf("%v: got %v, want %v", row.Name, m.state, want[row.Advice])
		}
	}
}

func TestBackoffIsBounded(t *testing.T) {
	for n := range 200 {
		if d := backoff(n); d < backoffFirst || d > backoffMost {
			t.Errorf("backoff(%d) = %v: want %v to %v", n, d, backoffFirst, backoffMost)
		}
	}
}

func TestAnnounced(t *testing.T) {
	for _, c := range []struct {
		name string
		code uint32
		back bool
		want cause.Advice
	}{
		{"a row of the table", uint32(cause.Shutdown), true, cause.Retry},
		{"a token row", uint32(cause.TokenExpired), true, cause.Token},
		{"the server overrules retry", uint32(cause.Shutdown), false, cause.Stop},
		{"the server overrules stop", uint32(cause.Kicked), true, cause.Retry},
		{"a code of a newer server", 4999, true, cause.Retry},
		{"a code of a newer server that says stop", 4999, false, cause.Stop},
	} {
		m := disconnectMessage(cause.Code(c.code), 0).GetDisconnect()
		m.Code, m.Reconnect = c.code, c.back
		if d := announced(m); d.Advice != c.want || d.Code != cause.Code(c.code) {
			t.Errorf("%s: got %v with code %d, want %v with %d", c.name, d.Advice, d.Code, c.want, c.code)
		}
	}
}
