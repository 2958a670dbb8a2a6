package actors

import "time"

// bucket is a token bucket as one number, the generic cell rate algorithm
// (ITU-T I.371): the time at which the bucket would be full again. 8 bytes a
// connection instead of a rate.Limiter's 72.
type bucket struct{ full int64 } // unix nanoseconds

// take spends n tokens of perSecond with the given burst, and reports whether
// they were there. A refused take spends nothing.
func (b *bucket) take(now time.Time, n, perSecond, burst int) bool {
	if perSecond <= 0 {
		return true
	}
	t := now.UnixNano()
	cost := int64(n) * int64(time.Second) / int64(perSecond)
	depth := int64(burst) * int64(time.Second) / int64(perSecond)
	next := max(b.full, t) + cost
	// What no burst could hold is let through by an idle bucket, which then
	// stays in debt: else a message larger than the burst could never pass.
	if next-t > depth && b.full > t {
		return false
	}
	b.full = next
	return true
}
