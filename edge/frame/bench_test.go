package frame

import (
	"strings"
	"testing"
)

// The benchmarks report ns per frame or MB/s of the good path of one Guard.

// benchmarkScan scans a stream of frames again and again.
func benchmarkScan(b *testing.B, frames int, stream []byte) {
	g := NewGuard(Limits{MaxMessageBytes: 1 << 20})
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if ok, v := g.Scan(stream); ok != len(stream) || v != nil {
			b.Fatal(ok, v)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(frames), "ns/frame")
}

// repeat builds n equal masked frames.
func repeat(n int, op Opcode, payload string) []byte {
	var b []byte
	for range n {
		b = AppendMasked(b, op, []byte(payload), key)
	}
	return b
}

func BenchmarkScan(b *testing.B) {
	ascii := strings.Repeat("the quick brown fox jumps over it", 32)[:1024]
	mixed := strings.Repeat("Grüße aus Köln, und ça va? ", 64)
	mixed = mixed[:strings.LastIndex(mixed[:1024], " ")]
	cjk := strings.Repeat("日本語", 1024/9)
	for _, bench := range []struct {
		name    string
		op      Opcode
		payload string
	}{
		{"pong-0B", Pong, ""},
		{"binary-64B", Binary, strings.Repeat("x", 64)},
		{"text-64B", Text, ascii[:64]},
		{"binary-1KB", Binary, ascii},
		{"text-1KB-ascii", Text, ascii},
		{"text-1KB-latin", Text, mixed},
		{"text-1KB-cjk", Text, cjk},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmarkScan(b, 64, repeat(64, bench.op, bench.payload)) })
	}
}

// BenchmarkNext finds the frames of a read of 64 short ones.
func BenchmarkNext(b *testing.B) {
	stream := repeat(64, Text, strings.Repeat("x", 64))
	b.ReportAllocs()
	for b.Loop() {
		for p := stream; len(p) > 0; {
			_, size := Next(p)
			p = p[size:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/frame")
}

func BenchmarkAppend(b *testing.B) {
	payload := make([]byte, 128)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], Text, payload)
	}
}

func BenchmarkAppendMasked(b *testing.B) {
	payload := make([]byte, 1024)
	var buf []byte
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMasked(buf[:0], Text, payload, key)
	}
}
