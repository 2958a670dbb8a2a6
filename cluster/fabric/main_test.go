package fabric

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// patience bounds every wait of a test. Waits end when their condition holds;
// this only ends a test that hangs.
const patience = 30 * time.Second

// broker is actors.Broker. fabric may not import actors, so the shape is
// repeated here; edge/node checks the real one.
type broker interface {
	Subscribe(tenant, channel string, ready func(error))
	Unsubscribe(tenant, channel string)
	PublishChannel(tenant, channel string, data []byte) error
	PublishApp(tenant, channel, user, session string, data []byte) error
	Request(tenant, method, user, session string, data []byte, done func([]byte, error))
}

var (
	_ broker = (*Fabric)(nil)
	_ interface {
		error
		Status() (uint32, string, bool)
	} = (*Error)(nil)
)

// TestMain fails the package when goroutines are left after its tests.
func TestMain(m *testing.M) {
	before := goroutines()
	code := m.Run()
	if code == 0 && !poll(func() bool { return goroutines() <= before }) {
		fmt.Fprintf(os.Stderr, "%d goroutines at the start, %d at the end:\n%s\n", before, goroutines(), stacks())
		code = 1
	}
	os.Exit(code)
}

// goroutines counts them without that of os/signal, which go test -fuzz
// starts and the runtime never ends.
func goroutines() int { return runtime.NumGoroutine() - stacksWith("os/signal.signal_recv") }

// poll asks condition until it holds or patience ends.
func poll(condition func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return condition()
		case <-ticker.C:
		}
	}
	return true
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if !poll(condition) {
		t.Fatalf("after %v still not: %s", patience, what)
	}
}

// take receives from c or fails the test.
func take[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came: %s", what)
		panic("unreachable")
	}
}

// testConfig is an embedded server without streams, on a free port, with
// short times.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.NodeID = "n1"
	cfg.Embedded.Listen = "127.0.0.1:0"
	cfg.Embedded.JetStream = false
	cfg.InterestLinger = 50 * time.Millisecond
	cfg.GoneDelay = 50 * time.Millisecond
	cfg.CanaryInterval = 20 * time.Millisecond
	cfg.PendingMessages = 1024
	return cfg
}

// openFabric opens a fabric that the test closes at its end.
func openFabric(t *testing.T, cfg Config, receiver Receiver) *Fabric {
	t.Helper()
	f, err := Open(t.Context(), cfg, receiver)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { closeFabric(t, f) })
	return f
}

func closeFabric(t *testing.T, f *Fabric) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// app is an application's plain NATS client.
func app(t *testing.T, url string) *nats.Conn {
	t.Helper()
	connection, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatalf("connect application: %v", err)
	}
	t.Cleanup(connection.Close)
	return connection
}

// flush waits until the server has all that connection sent.
func flush(t *testing.T, connection *nats.Conn) {
	t.Helper()
	if err := connection.Flush(); err != nil {
		t.Fatalf("flush application: %v", err)
	}
}

// service answers requests on subject with answer, until the test ends.
func service(t *testing.T, connection *nats.Conn, subject string, answer func(*nats.Msg)) {
	t.Helper()
	if _, err := connection.Subscribe(subject, answer); err != nil {
		t.Fatalf("subscribe service: %v", err)
	}
	flush(t, connection)
}

// external runs a NATS server outside the fabric. Port -1 picks one.
func external(t *testing.T, port int, change func(*server.Options)) *server.Server {
	t.Helper()
	options := &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, ServerName: "external"}
	if change != nil {
		change(options)
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatalf("external server: %v", err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("external server does not listen")
	}
	t.Cleanup(func() { stopServer(s) })
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// delivery is one call of a Receiver.
type delivery struct {
	kind         kind
	tenant, name string
	seq          uint64
	data         string
}

// recorder is a Receiver that keeps what came. held says which users and
// sessions this node has.
type recorder struct {
	got  chan delivery
	mu   sync.Mutex
	held map[string]int
}

func newRecorder() *recorder {
	return &recorder{got: make(chan delivery, 100_000), held: make(map[string]int)}
}

func (r *recorder) hold(tenant, name string, sessions int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[tenant+"."+name] = sessions
}

func (r *recorder) holds(tenant, name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[tenant+"."+name]
}

func (r *recorder) Deliver(tenant, channel string, seq uint64, data []byte) {
	r.got <- delivery{kindFire, tenant, channel, seq, string(data)}
}

func (r *recorder) DeliverUser(tenant, user string, data []byte) int {
	r.got <- delivery{kindUser, tenant, user, 0, string(data)}
	return r.holds(tenant, user)
}

func (r *recorder) DeliverSession(tenant, session string, data []byte) bool {
	r.got <- delivery{kindSession, tenant, session, 0, string(data)}
	return r.holds(tenant, session) > 0
}

// subscribe waits until the channel is live.
func subscribe(t *testing.T, f *Fabric, tenant, channel string) {
	t.Helper()
	if err := trySubscribe(t, f, tenant, channel); err != nil {
		t.Fatalf("subscribe %s %s: %v", tenant, channel, err)
	}
}

func trySubscribe(t *testing.T, f *Fabric, tenant, channel string) error {
	t.Helper()
	ready := make(chan error, 2)
	f.Subscribe(tenant, channel, func(err error) { ready <- err })
	return take(t, "ready of "+channel, ready)
}

// answer is the outcome of one Request.
type answer struct {
	data string
	err  error
}

func request(t *testing.T, f *Fabric, tenant, method, user, session string, data []byte) answer {
	t.Helper()
	done := make(chan answer, 2)
	f.Request(tenant, method, user, session, data, func(b []byte, err error) { done <- answer{string(b), err} })
	return take(t, "answer of "+method, done)
}

// wantError checks code, text part and temporary of an *Error.
func wantError(t *testing.T, err error, code uint32, temporary bool) *Error {
	t.Helper()
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	if e.Code != code || e.Temporary != temporary {
		t.Fatalf("got %v (temporary %v), want code %d, temporary %v", e, e.Temporary, code, temporary)
	}
	return e
}

func eventuallyReady(t *testing.T, f *Fabric) {
	t.Helper()
	if !poll(func() bool { return f.Ready() == nil }) {
		t.Fatalf("not ready: %v", f.Ready())
	}
}
