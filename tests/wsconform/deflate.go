package wsconform

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// rsv1 marks a compressed message, RFC 7692 §6.
const rsv1 = 0x40

// emptyBlock is left off the end of a compressed message, RFC 7692 §7.2.1.
const emptyBlock = "\x00\x00\xff\xff"

// lastBlock ends a deflate stream.
const lastBlock = "\x01\x00\x00\xff\xff"

// writers are *flate.Writer: each has a megabyte of tables.
var writers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(fmt.Sprintf("wsconform: deflate: %v", err))
	}
	return w
}}

// deflate compresses a message without what went before.
func deflate(message string) string {
	w := writers.Get().(*flate.Writer)
	defer writers.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	io.WriteString(w, message) // a bytes.Buffer takes everything
	w.Flush()
	return strings.TrimSuffix(b.String(), emptyBlock)
}

// inflate is its reverse.
func inflate(message string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(flate.NewReader(strings.NewReader(message+emptyBlock+lastBlock)), maxFrame))
	return string(b), err
}

// checkAgreed checks the server's answer to an offer, RFC 7692 §7.1: it must
// be the extension, without a context on either side and without parameters
// that were not offered.
func checkAgreed(agreed string) error {
	parts := strings.Split(agreed, ";")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	slices.Sort(parts[1:])
	want := []string{"permessage-deflate", "client_no_context_takeover", "server_no_context_takeover"}
	if !slices.Equal(parts, want) {
		return fmt.Errorf("the server agreed to %q, want %q", parts, want)
	}
	return nil
}
