package fabric

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigIsValid(t *testing.T) {
	cfg := DefaultConfig()
	cfg.NodeID = "n1"
	cfg.Embedded.StoreDir = "data"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.URL = "nats://nats.example.org:4222"
	cfg.Embedded = Embedded{} // not looked at
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	const address = "nats://127.0.0.1:4222"
	for _, c := range []struct {
		field  string
		change func(*Config)
	}{
		{"NodeID", func(c *Config) { c.NodeID = "" }},
		{"NodeID", func(c *Config) { c.NodeID = "a.b" }},
		{"NodeID", func(c *Config) { c.NodeID = strings.Repeat("n", 65) }},
		{"Prefix", func(c *Config) { c.Prefix = "a b" }},
		{"RPCTimeout", func(c *Config) { c.RPCTimeout = 0 }},
		{"InterestLinger", func(c *Config) { c.InterestLinger = -time.Second }},
		{"GoneDelay", func(c *Config) { c.GoneDelay = 0 }},
		{"CanaryInterval", func(c *Config) { c.CanaryInterval = 0 }},
		{"CanaryTimeout", func(c *Config) { c.CanaryTimeout = c.CanaryInterval }},
		{"DataConns", func(c *Config) { c.DataConns = 0 }},
		{"DataConns", func(c *Config) { c.DataConns = 65 }},
		{"PendingMessages", func(c *Config) { c.PendingMessages = 0 }},
		{"PendingRequests", func(c *Config) { c.PendingRequests = -1 }},
		{"PendingPublishes", func(c *Config) { c.PendingPublishes = 0 }},
		{"PendingPublishBytes", func(c *Config) { c.PendingPublishBytes = 0 }},
		{"MaxInterests", func(c *Config) { c.MaxInterests = 0 }},
		{"Embedded.Listen", func(c *Config) { c.Embedded.Listen = "" }},
		{"Embedded.Listen", func(c *Config) { c.Embedded.Listen = "127.0.0.1:nats" }},
		{"Embedded.Listen", func(c *Config) { c.Embedded.Listen = "127.0.0.1:70000" }},
		{"Embedded.Listen", func(c *Config) { c.Embedded.Listen = "0.0.0.0:4222" }},
		{"Embedded.Listen", func(c *Config) { c.Embedded.Listen = ":4222" }},
		{"Embedded.StoreDir", func(c *Config) { c.Embedded.StoreDir = "" }},
		{"MaxMemoryBytes", func(c *Config) { c.Embedded.MaxMemoryBytes = -1 }},
		{"MaxStoreBytes", func(c *Config) { c.Embedded.MaxStoreBytes = -1 }},
		{"Embedded.Cluster", func(c *Config) { c.Embedded.Cluster.Routes = []string{"nats://x:1"} }},
		{"Embedded.Cluster.Name", func(c *Config) { c.Embedded.Cluster = Cluster{Name: "a b", Listen: "127.0.0.1:0"} }},
		{"Embedded.Cluster.Listen", func(c *Config) { c.Embedded.Cluster = Cluster{Name: "c", Listen: "0.0.0.0:6222"} }},
		{"User", func(c *Config) { c.User = "u" }},
		{"Token", func(c *Config) { c.User, c.Password, c.Token = "u", "p", "t" }},
		{"CredentialsFile", func(c *Config) { c.CredentialsFile = "f" }},
		{"TLS", func(c *Config) { c.TLS.CAFile = "f" }},
		{"URL: server 2", func(c *Config) { c.URL = address + ",nats://u:hush@ho st:1" }},
		{"URL: server 1", func(c *Config) { c.URL = "nats://u:hush@:%%" }},
		{"Token", func(c *Config) { c.URL, c.User, c.Token = address, "u", "t" }},
		{"CredentialsFile", func(c *Config) { c.URL, c.CredentialsFile, c.Token = address, "f", "t" }},
		{"Password", func(c *Config) { c.URL, c.Password = address, "p" }},
		{"TLS.KeyFile", func(c *Config) { c.URL, c.TLS.CertFile = address, "f" }},
	} {
		cfg := DefaultConfig()
		cfg.NodeID = "n1"
		cfg.Embedded.StoreDir = "data"
		c.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("got %v, want an error that names %s", err, c.field)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("got %v, with the password", err)
		}
		if _, openErr := Open(t.Context(), cfg, newRecorder()); openErr == nil {
			t.Errorf("%s: opened all the same", c.field)
		}
	}
}

func TestListenBeyondLoopbackNeedsAPassword(t *testing.T) {
	cfg := testConfig()
	cfg.Embedded.Listen = "0.0.0.0:4222"
	if cfg.Validate() == nil {
		t.Error("an open address without a password is valid")
	}
	cfg.Token = "t"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestBadRouteIsRefused(t *testing.T) {
	cfg := testConfig()
	cfg.Embedded.Cluster = Cluster{Name: "c", Listen: "127.0.0.1:0", Routes: []string{"10.0.0.1"}}
	f, err := Open(t.Context(), cfg, newRecorder())
	if err == nil {
		closeFabric(t, f)
		t.Fatal("opened with a route that is no URL")
	}
	if !strings.Contains(err.Error(), "Routes") {
		t.Errorf("got %v, want Routes in it", err)
	}
}
