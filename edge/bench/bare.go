package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/lxzan/gws"

	clientv1 "hawser/proto/client/v1"

	"hawser/proto/codec"
)

// bareServer is what hawser is compared with: the protocol's connect,
// subscribe and publish on gws alone, as its own documentation has one write a
// server: a goroutine and a read buffer for each connection, a Broadcaster for
// fan-out. It does less than hawser: no NATS, no actors, no tokens, no limits.
//
// It trusts its clients: a frame with a 64-bit length and the top bit set ends
// it. So it listens on loopback only.
type bareServer struct {
	gws.BuiltinEventHandler
	upgrader *gws.Upgrader

	mu       sync.Mutex
	channels map[string][]*gws.Conn // guarded by mu
}

// bareAddrs is what the command prints when the server listens.
type bareAddrs struct {
	Edge  string `json:"edge"`
	Admin string `json:"admin"`
}

// serveBare runs the server until ctx ends. It prints its addresses to out.
func serveBare(ctx context.Context, out io.Writer) error {
	s := &bareServer{channels: make(map[string][]*gws.Conn)}
	s.upgrader = gws.NewUpgrader(s, &gws.ServerOption{
		SubProtocols: []string{codec.Proto.Subprotocol(), codec.JSON.Subprotocol()}})
	edge, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(fmt.Errorf("bench: %w", err), edge.Close())
	}
	servers := []*http.Server{
		{Handler: http.HandlerFunc(s.upgrade), ReadHeaderTimeout: 5 * time.Second},
		{Handler: bareAdmin(), ReadHeaderTimeout: 5 * time.Second},
	}
	if err := json.NewEncoder(out).Encode(bareAddrs{edge.Addr().String(), admin.Addr().String()}); err != nil {
		return err
	}
	failed := make(chan error, len(servers))
	var serving sync.WaitGroup
	for i, l := range []net.Listener{edge, admin} {
		serving.Go(func() { failed <- servers[i].Serve(l) })
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, s := range servers {
		_ = s.Close()
	}
	serving.Wait()
	return err
}

func (s *bareServer) upgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := s.upgrader.Upgrade(w, r)
	if err != nil {
		return // gws has answered
	}
	go conn.ReadLoop() // so that the HTTP server's memory is freed, as gws advises
}

// OnClose implements gws.Event. It runs on the connection's goroutine.
func (s *bareServer) OnClose(conn *gws.Conn, _ error) {
	channel, ok := conn.Session().Load("channel")
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := channel.(string)
	s.channels[name] = slices.DeleteFunc(s.channels[name], func(c *gws.Conn) bool { return c == conn })
}

// OnPing implements gws.Event.
func (s *bareServer) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

// OnMessage implements gws.Event.
func (s *bareServer) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	p, _ := codec.Parse(conn.SubProtocol())
	commands, err := codec.DecodeClient(p, message.Bytes())
	if err != nil {
		_ = conn.WriteClose(1002, nil)
		return
	}
	for _, m := range commands {
		s.command(conn, p, m)
	}
}

func (s *bareServer) command(conn *gws.Conn, p codec.Protocol, m *clientv1.ClientMessage) {
	switch body := m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		write(conn, p, bareConnected(m.Id))
	case *clientv1.ClientMessage_Subscribe:
		name := body.Subscribe.Channel
		conn.Session().Store("channel", name)
		s.mu.Lock()
		s.channels[name] = append(s.channels[name], conn)
		s.mu.Unlock()
		write(conn, p, bareSubscribed(m.Id, name))
	case *clientv1.ClientMessage_Publish:
		s.publish(p, body.Publish)
	}
}

// publish sends to all subscribers of a channel, which all speak p.
func (s *bareServer) publish(p codec.Protocol, m *clientv1.Publish) {
	push := barePublication(m)
	s.mu.Lock()
	conns := slices.Clone(s.channels[m.Channel])
	s.mu.Unlock()
	if len(conns) == 1 {
		write(conns[0], p, push)
		return
	}
	broadcaster := gws.NewBroadcaster(opcode(p), codec.AppendServer(nil, p, push))
	defer broadcaster.Close()
	for _, c := range conns {
		_ = broadcaster.Broadcast(c) // its OnClose follows
	}
}

// bareConnected, bareSubscribed and barePublication are all that the bare
// servers have to say.
func bareConnected(id uint32) *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Id: id, Body: &clientv1.ServerMessage_Connected{
		Connected: &clientv1.Connected{Session: "bare"}}}
}

func bareSubscribed(id uint32, channel string) *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Id: id, Body: &clientv1.ServerMessage_Subscribed{
		Subscribed: &clientv1.Subscribed{Channel: channel}}}
}

func barePublication(m *clientv1.Publish) *clientv1.ServerMessage {
	return &clientv1.ServerMessage{Body: &clientv1.ServerMessage_Publication{
		Publication: &clientv1.Publication{Channel: m.Channel, Data: m.Data}}}
}

func write(conn *gws.Conn, p codec.Protocol, m *clientv1.ServerMessage) {
	_ = conn.WriteMessage(opcode(p), codec.AppendServer(nil, p, m)) // its OnClose follows
}

func opcode(p codec.Protocol) gws.Opcode {
	if p.Text() {
		return gws.OpcodeText
	}
	return gws.OpcodeBinary
}

// bareAdmin serves what metricsMeter reads.
func bareAdmin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		for name, v := range map[string]uint64{
			"heap_alloc": m.HeapAlloc, "stack_inuse": m.StackInuse, "mspan_inuse": m.MSpanInuse,
			"mcache_inuse": m.MCacheInuse, "buck_hash_sys": m.BuckHashSys, "gc_sys": m.GCSys, "other_sys": m.OtherSys,
		} {
			fmt.Fprintf(w, "go_memstats_%s_bytes %d\n", name, v)
		}
		own, err := procMeter{syscall.Getpid()}.read(context.Background())
		if err != nil {
			return // not Linux: the reader says what is missing
		}
		fmt.Fprintf(w, "process_cpu_seconds_total %g\nprocess_resident_memory_bytes %d\n", own.CPU.Seconds(), own.RSS)
	})
	return mux
}
