package node

import (
	"log/slog"
	"net/netip"

	"hawser/actors"
	"hawser/cluster/fabric"
	"hawser/edge"
	"hawser/edge/metrics"
)

// actors is the configuration as package actors has it.
func (c Config) actors() actors.Config {
	a := actors.DefaultConfig()
	a.Node = c.Node.ID
	a.Shards = c.Edge.Shards
	a.PingInterval, a.PongTimeout, a.ConnectTimeout = c.Edge.PingInterval, c.Edge.PongTimeout, c.Edge.ConnectTimeout
	a.ResumeWindow = c.Auth.ResumeWindow
	a.OutboxBytes, a.OutboxTotalBytes = int(c.Edge.OutboxBytes), int(c.Edge.OutboxTotalBytes)
	a.MaxChannels, a.MaxRPCInFlight = c.Edge.MaxChannels, c.Edge.MaxRPCInFlight
	a.RateMessages, a.RateBurst, a.RateBytes = c.Edge.RateMessages, c.Edge.RateBurst, int(c.Edge.RateBytes)
	a.Rules = c.rules()
	return a
}

func (c Config) rules() []actors.Rule {
	rules := make([]actors.Rule, len(c.Channels))
	for i, r := range c.Channels {
		rules[i] = actors.Rule{Pattern: r.Pattern, Subscribe: r.Subscribe.actors(), Publish: r.Publish.actors(), Slow: r.Slow.actors()}
		if r.PublishTo == ToChannel {
			rules[i].Destination = actors.ToChannel
		}
	}
	return rules
}

func (a Access) actors() actors.Access {
	switch a {
	case Allow:
		return actors.Allow
	case ByToken:
		return actors.ByToken
	}
	return actors.Refuse
}

func (p SlowPolicy) actors() actors.SlowPolicy {
	switch p {
	case DropOldest:
		return actors.SlowDropOldest
	case Conflate:
		return actors.SlowConflate
	}
	return actors.SlowDisconnect
}

// edge is the configuration as package edge has it, without TLS and fallback.
func (c Config) edge() edge.Config {
	e := edge.DefaultConfig()
	e.Engine = c.Edge.Engine
	e.HeaderTimeout, e.CloseTimeout = c.Edge.HeaderTimeout, c.Edge.CloseTimeout
	e.MaxHeaderBytes = int(c.Edge.MaxHeaderBytes)
	e.MaxMessageBytes, e.MaxFrameBytes = int(c.Edge.MaxMessageBytes), int(c.Edge.MaxFrameBytes)
	e.Compression = c.Edge.Compression == "on"
	e.Limits = c.limits()
	for _, network := range c.Edge.ProxyProtocolFrom {
		e.ProxyFrom = append(e.ProxyFrom, netip.MustParsePrefix(network)) // Validate has parsed it
	}
	return e
}

// encoder makes the frames of all connections.
func (c Config) encoder() edge.Encoder {
	return edge.Encoder{CompressMinBytes: int(c.Edge.CompressionMinBytes)}
}

func (c Config) limits() edge.Limits {
	return edge.Limits{MaxConns: c.Edge.MaxConnections, MaxConnsPerIP: c.Edge.MaxConnectionsPerIP,
		AcceptRate: c.Edge.AcceptRate, AcceptBurst: c.Edge.AcceptBurst, Origins: c.Edge.Origins}
}

// fabric is the configuration as package fabric has it.
func (c Config) fabric(log *slog.Logger, m *metrics.Metrics) fabric.Config {
	f := fabric.DefaultConfig()
	f.NodeID, f.Prefix, f.URL = c.Node.ID, c.NATS.Prefix, c.NATS.URL
	f.CredentialsFile, f.User = c.NATS.CredentialsFile, c.NATS.User
	f.Password, f.Token = c.NATS.Password.Reveal(), c.NATS.Token.Reveal()
	f.TLS = fabric.TLS{CAFile: c.NATS.TLSCAFile, CertFile: c.NATS.TLSCertFile, KeyFile: c.NATS.TLSKeyFile}
	f.RPCTimeout, f.InterestLinger, f.DataConns = c.NATS.RPCTimeout, c.NATS.InterestLinger, c.NATS.DataConnections
	f.Embedded = fabric.Embedded{
		Listen: c.NATS.Listen, ServerName: c.Node.ID, JetStream: c.NATS.JetStream, StoreDir: c.Node.DataDir,
		AcceptFreshStore: c.NATS.AcceptFreshStore, MaxMemoryBytes: int64(c.NATS.MaxMemory), MaxStoreBytes: int64(c.NATS.MaxStore),
		Cluster: fabric.Cluster{Name: c.NATS.ClusterName, Listen: c.NATS.ClusterListen, Routes: c.NATS.Routes},
	}
	f.Logger, f.OnCanary = log, m.Canary
	return f
}
