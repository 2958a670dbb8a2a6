package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of at most 1.6 % width, as HdrHistogram
// does: 64 buckets for each power of two. The zero value is empty. It is not
// for concurrent use.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	most   time.Duration
}

const (
	subBits = 6 // 2⁶ buckets for each power of two
	buckets = (64 - subBits + 1) << subBits
)

// bucketOf is the index of the bucket that v is in.
func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// bucketEnd is the largest value in bucket i.
func bucketEnd(i int) uint64 {
	if i < 2<<subBits {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return (uint64(i-shift<<subBits)+1)<<shift - 1
}

// record adds one duration; a negative one counts as 0.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.total++
	h.most = max(h.most, d)
}

// merge adds all of other.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.most = max(h.most, other.most)
}

// quantile is the least duration that the share q of all durations does not
// exceed, to the width of a bucket; 0 of an empty histogram.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	if float64(rank) < q*float64(h.total) {
		rank++
	}
	rank = max(rank, 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(bucketEnd(i)), h.most)
		}
	}
	return 0
}
