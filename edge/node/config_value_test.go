package node

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "1": 1, "512B": 512, "64KiB": 64 * KiB, "64 KiB": 64 * KiB, " 1MiB ": MiB,
		"1536KiB": 1536 * KiB, "7PiB": 7 * PiB, "9223372036854775807": 1<<63 - 1,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: got %d, %v; want %d", text, s, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%q: String %s reads back as %d, %v", text, s, again, err)
		}
	}
	for _, text := range []string{"", "B", "KiB", "-1", "1.5MiB", "1KB", "1K", "64kib", "8192PiB", "9223372036854775808", "1 2"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, s)
		}
	}
}

func FuzzSize(f *testing.F) {
	f.Add("64KiB")
	f.Add("9223372036854775807B")
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s || s < 0 {
			t.Errorf("%q: %d prints as %s, which reads as %d, %v", text, int64(s), s, again, err)
		}
	})
}

func TestSecretHides(t *testing.T) {
	c := good()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Auth.HMACSecret, "auth", c.Auth)
	encoded, err := json.Marshal(c.Auth)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %s %q", c, c, c.Auth.HMACSecret, c.Auth.HMACSecret),
		fmt.Sprintf("%#v", c.Auth), string(encoded), log.String(), format(fieldOf(c, "auth.hmac_secret")),
	} {
		if strings.Contains(text, goodSecret) || !strings.Contains(text, hidden) {
			t.Errorf("the secret shows, or is not marked: %s", text)
		}
	}
	if c.Auth.HMACSecret.Reveal() != goodSecret {
		t.Error("Reveal does not give the secret")
	}
}

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "10s": 10 * time.Second, "15m": 15 * time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute,
		"1h0m5s": time.Hour + 5*time.Second, "1m30s": 90 * time.Second, "250ms": 250 * time.Millisecond,
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"edge.lisen": "edge.listen", "edge.pong_timout": "edge.pong_timeout", "nats.jetsteam": "nats.jetstream",
		"auth.leway": "auth.leeway", "completely.different": "", "": "",
	} {
		if got := Nearest(word, paths(Keys(DefaultConfig()))); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"abc", "acb", 1}, {"egde", "edge", 1}} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestLevel(t *testing.T) {
	for text, want := range map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "nonsense": slog.LevelInfo} {
		if got := (NodeConfig{LogLevel: text}).Level(); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func fieldOf(c Config, path string) reflect.Value {
	for _, k := range Keys(c) {
		if k.Path == path {
			return reflect.ValueOf(c).FieldByIndex(k.index)
		}
	}
	panic("no key " + path)
}
