package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"hawser/proto/cause"
)

func TestReader(t *testing.T) {
	good := client(0x81, "good")
	tests := []struct {
		name   string
		stream []byte
		ok     int
		err    error
	}{
		{"good", good, len(good), io.EOF},
		{"bad at once", client(0xc1, "x"), 0, &violations[reservedBit]},
		{"bad later", join(good, client(0x83, "x"), good), len(good), &violations[reservedOpcode]},
		{"after a close", join(client(0x88, "\x03\xe8"), good), 8, io.EOF},
	}
	for _, tc := range tests {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader, "with the error": iotest.DataErrReader,
		} {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				r := NewReader(wrap(bytes.NewReader(tc.stream)), Limits{})
				got, err := drain(r)
				if !bytes.Equal(got, tc.stream[:tc.ok]) || err != tc.err {
					t.Errorf("got %d bytes and %v, want %d and %v", len(got), err, tc.ok, tc.err)
				}
				if n, again := r.Read(make([]byte, 9)); n != 0 || again != tc.err {
					t.Errorf("read again: got %d, %v, want 0, %v", n, again, tc.err)
				}
			})
		}
	}
}

// drain reads to the first error.
func drain(r io.Reader) (got []byte, err error) {
	p := make([]byte, 64)
	for err == nil {
		var n int
		n, err = r.Read(p)
		got = append(got, p[:n]...)
	}
	return got, err
}

// TestReaderError: the code to close with comes out of a wrapped error.
func TestReaderError(t *testing.T) {
	r := NewReader(bytes.NewReader(client(0x81, "\xff")), Limits{})
	_, err := drain(r)
	var v *Violation
	if !errors.As(err, &v) || v.Code != cause.BadUTF8 {
		t.Errorf("got %v, want a *Violation with %d", err, cause.BadUTF8)
	}
	if r.Guard().AtBoundary() {
		t.Error("at a boundary after a violation")
	}
}
