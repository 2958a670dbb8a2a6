package bench

// order follows the numbers of one channel at one peer: 0, 1, 2 and so on. The
// zero value expects 0.
type order struct {
	next    uint32
	missing map[uint32]struct{} // numbers below next that have not come
}

// verdict is what a number was.
type verdict uint8

const (
	inOrder    verdict = iota
	reordered          // a later one came first
	duplicated         // it had come before
)

// see takes the next number that came.
func (o *order) see(n uint32) verdict {
	switch {
	case n == o.next:
		o.next++
		return inOrder
	case n > o.next:
		if o.missing == nil {
			o.missing = make(map[uint32]struct{})
		}
		for ; o.next < n; o.next++ {
			o.missing[o.next] = struct{}{}
		}
		o.next++
		return inOrder
	}
	if _, ok := o.missing[n]; ok {
		delete(o.missing, n)
		return reordered
	}
	return duplicated
}

// lost is how many of the first sent numbers have not come.
func (o *order) lost(sent uint32) int {
	n := len(o.missing)
	if sent > o.next {
		n += int(sent - o.next)
	}
	return n
}
