//go:build !unix

package bench

// checkFiles has nothing to ask on this system; a dial says when it is enough.
func checkFiles(int) error { return nil }
