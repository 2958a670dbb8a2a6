package fabric

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestPublisher(t *testing.T) {
	got := newRecorder()
	f := openFabric(t, testConfig(), got)
	subscribe(t, f, "acme", "news")
	p, err := DialPublisher(f.URL(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 10 {
		if err := p.Publish("acme", "news", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		want := delivery{kindFire, "acme", "news", 0, fmt.Sprint(i)}
		if d := take(t, "publication", got.got); d != want {
			t.Fatalf("got %v, want %v", d, want)
		}
	}
	wantError(t, p.Publish("acme", "a.*", nil), CodeBadName, false)
	wantError(t, p.Publish("a.b", "news", nil), CodeBadName, false)
	p.Close()
	if err := p.Publish("acme", "news", nil); err == nil {
		t.Error("publish after close: no error")
	}
}

func TestDialPublisherWithoutServer(t *testing.T) {
	if _, err := DialPublisher("nats://127.0.0.1:1", ""); err == nil {
		t.Error("got no error")
	}
}
