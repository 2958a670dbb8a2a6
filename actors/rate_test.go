package actors

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	type take struct {
		after time.Duration
		n     int
		want  bool
	}
	const s, ms = time.Second, time.Millisecond
	for name, c := range map[string]struct {
		perSecond, burst int
		takes            []take
	}{
		"no rate means no limit": {0, 0, []take{{0, 1 << 30, true}, {0, 1 << 30, true}}},
		"burst, then none":       {10, 3, []take{{0, 1, true}, {0, 1, true}, {0, 1, true}, {0, 1, false}}},
		"refills at its rate":    {10, 2, []take{{0, 2, true}, {99 * ms, 1, false}, {1 * ms, 1, true}, {100 * ms, 1, true}, {99 * ms, 1, false}}},
		"holds no more than its burst": {10, 2, []take{{0, 1, true}, {100 * s, 2, true}, {0, 1, false},
			{200 * ms, 1, true}, {0, 1, true}, {0, 1, false}}},
		"a refused take spends nothing": {1, 1, []take{{0, 1, true}, {500 * ms, 1, false}, {500 * ms, 1, true}}},
		"more than the burst passes an idle bucket, which is then in debt": {10, 5, []take{{0, 50, true}, {4500 * ms, 1, false},
			{100 * ms, 1, true}, {0, 1, false}}},
		"more than the burst waits for a bucket in use": {10, 5, []take{{0, 1, true}, {0, 50, false}, {100 * ms, 50, true}}},
		"nothing costs nothing":                         {1, 1, []take{{0, 1, true}, {0, 0, true}, {0, 1, false}}},
		"largest values do not overflow":                {1, 1 << 20, []take{{0, 1 << 20, true}, {0, 1, false}}},
		"a clock that steps back gives nothing":         {10, 1, []take{{0, 1, true}, {-10 * s, 1, false}, {10 * s, 1, false}, {100 * ms, 1, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bucket
			now := time.Unix(1_800_000_000, 0)
			for i, step := range c.takes {
				now = now.Add(step.after)
				if got := b.take(now, step.n, c.perSecond, c.burst); got != step.want {
					t.Errorf("take %d of %d: got %v, want %v", i, step.n, got, step.want)
				}
			}
		})
	}
}
