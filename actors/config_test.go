package actors

import (
	"strings"
	"testing"
	"time"
)

func TestValidateNamesTheField(t *testing.T) {
	good := DefaultConfig()
	good.Node = "n1"
	if err := good.Validate(); err != nil {
		t.Fatalf("defaults with a node name: %v", err)
	}
	for _, c := range []struct {
		field, value string
		breakIt      func(*Config)
	}{
		{"Node", `""`, func(c *Config) { c.Node = "" }},
		{"Shards", "-1", func(c *Config) { c.Shards = -1 }},
		{"Shards", "1025", func(c *Config) { c.Shards = 1025 }},
		{"PingInterval", "19ms", func(c *Config) { c.PingInterval = 19 * time.Millisecond }},
		{"PingInterval", "1h0m1s", func(c *Config) { c.PingInterval = time.Hour + time.Second }},
		{"PongTimeout", "0s", func(c *Config) { c.PongTimeout = 0 }},
		{"PongTimeout", "25s", func(c *Config) { c.PongTimeout = c.PingInterval }},
		{"ConnectTimeout", "0s", func(c *Config) { c.ConnectTimeout = 0 }},
		{"ConnectTimeout", "2h0m0s", func(c *Config) { c.ConnectTimeout = 2 * time.Hour }},
		{"ResumeWindow", "-1s", func(c *Config) { c.ResumeWindow = -time.Second }},
		{"ResumeWindow", "25h0m0s", func(c *Config) { c.ResumeWindow = 25 * time.Hour }},
		{"RetryAfter", "-1s", func(c *Config) { c.RetryAfter = -time.Second }},
		{"RetryAfter", "2h0m0s", func(c *Config) { c.RetryAfter = 2 * time.Hour }},
		{"OutboxBytes", "4095", func(c *Config) { c.OutboxBytes = 4095 }},
		{"OutboxBytes", "1073741825", func(c *Config) { c.OutboxBytes = 1<<30 + 1 }},
		{"MaxChannels", "0", func(c *Config) { c.MaxChannels = 0 }},
		{"MaxChannels", "10001", func(c *Config) { c.MaxChannels = 10_001 }},
		{"MaxRPCInFlight", "0", func(c *Config) { c.MaxRPCInFlight = 0 }},
		{"MaxRPCInFlight", "10001", func(c *Config) { c.MaxRPCInFlight = 10_001 }},
		{"RateMessages", "-1", func(c *Config) { c.RateMessages = -1 }},
		{"RateMessages", "1000001", func(c *Config) { c.RateMessages = 1_000_001 }},
		{"RateBurst", "0", func(c *Config) { c.RateBurst = 0 }},
		{"RateBurst", "-1", func(c *Config) { c.RateBurst, c.RateMessages = -1, 0 }},
		{"RateBurst", "1000001", func(c *Config) { c.RateBurst = 1_000_001 }},
		{"RateBytes", "-1", func(c *Config) { c.RateBytes = -1 }},
		{"RateBytes", "1073741825", func(c *Config) { c.RateBytes = 1<<30 + 1 }},
		{"Rules[1]", "a.>.b", func(c *Config) { c.Rules = []Rule{{Pattern: "ok"}, {Pattern: "a.>.b"}} }},
	} {
		t.Run(c.field+" "+c.value, func(t *testing.T) {
			broken := good
			c.breakIt(&broken)
			err := broken.Validate()
			if err == nil || !strings.Contains(err.Error(), "actors: "+c.field) || !strings.Contains(err.Error(), c.value) {
				t.Errorf("got %v, want an error with actors: %s and %s", err, c.field, c.value)
			}
		})
	}
}

func TestTickInterval(t *testing.T) {
	for _, c := range []struct{ ping, pong, connect, want time.Duration }{
		{25 * time.Second, 10 * time.Second, 10 * time.Second, time.Second},
		{8 * time.Second, 4 * time.Second, 10 * time.Second, 500 * time.Millisecond},
		{10 * time.Second, 8 * time.Second, time.Second, 125 * time.Millisecond},
		{21 * time.Millisecond, 20 * time.Millisecond, time.Second, 5 * time.Millisecond},
	} {
		got := Config{PingInterval: c.ping, PongTimeout: c.pong, ConnectTimeout: c.connect}.TickInterval()
		if got != c.want {
			t.Errorf("ping %v pong %v connect %v: got %v, want %v", c.ping, c.pong, c.connect, got, c.want)
		}
	}
}

func TestFirstRuleThatMatchesDecides(t *testing.T) {
	s := newSettings(Config{Rules: []Rule{
		{Pattern: "chat.private", Subscribe: Refuse},
		{Pattern: "chat.*", Subscribe: ByToken},
		{Pattern: "log.>", Subscribe: Allow},
	}})
	for channel, want := range map[string]string{
		"chat.private": "chat.private", "chat.red": "chat.*", "log.a.b": "log.>", "log": "", "chat.red.1": "", "news": "",
	} {
		if r, known := s.rule(channel); r.Pattern != want || known != (want != "") {
			t.Errorf("%s: got rule %q, known %v, want %q", channel, r.Pattern, known, want)
		}
	}
}

func TestAccessGrants(t *testing.T) {
	patterns := []string{"chat.red", "log.>"}
	for _, c := range []struct {
		access   Access
		patterns []string
		channel  string
		want     bool
	}{
		{Refuse, patterns, "chat.red", false},
		{Allow, nil, "chat.red", true},
		{ByToken, nil, "chat.red", false},
		{ByToken, patterns, "chat.red", true},
		{ByToken, patterns, "chat.blue", false},
		{ByToken, patterns, "log.a.b", true},
		{Access(9), patterns, "chat.red", false},
	} {
		if got := c.access.grants(c.patterns, c.channel); got != c.want {
			t.Errorf("access %d of %v on %s: got %v, want %v", c.access, c.patterns, c.channel, got, c.want)
		}
	}
}

func TestSetRulesKeepsSubscriptions(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial("ann").subscribe("news")
	if err := w.system.SetRules([]Rule{{Pattern: "a..b"}}); err == nil {
		t.Error("a bad pattern was taken")
	}
	if err := w.system.SetRules([]Rule{{Pattern: "other", Subscribe: Allow}}); err != nil {
		t.Fatalf("SetRules: %v", err)
	}
	c.take()
	w.system.Deliver("acme", "news", 1, []byte("1"))
	c.say(subscribeMessage(7, "more"))
	w.settle()
	if got := c.got(); !strings.Contains(got, `"publication"`) || !strings.Contains(got, `"code":404`) {
		t.Errorf("got %s, want the publication and error 404", got)
	}
}
