package tests

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// childEnv makes this test binary a nats-server on the port that it holds.
const childEnv = "HAWSER_TEST_NATS_PORT"

// natsServerMain is the nats-server process: it says its address on standard
// output and serves until standard input ends.
func natsServerMain() int {
	port, err := strconv.Atoi(os.Getenv(childEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		fmt.Fprintln(os.Stderr, "nats-server does not listen")
		return 1
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test
	s.Shutdown()
	return 0
}

// natsServer is a nats-server in a process of its own.
type natsServer struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.Closer
	address string
}

// startNATS runs a nats-server on a free port.
func startNATS(t *testing.T) *natsServer {
	t.Helper()
	n := &natsServer{t: t}
	n.start(-1) // picks a free one
	t.Cleanup(n.kill)
	return n
}

func (n *natsServer) start(port int) {
	n.t.Helper()
	n.command = exec.Command(os.Args[0])
	n.command.Env = append(os.Environ(), childEnv+"="+strconv.Itoa(port))
	n.command.Stderr = os.Stderr
	stdin, err := n.command.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	stdout, err := n.command.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	tie(n.command)
	if err := n.command.Start(); err != nil {
		n.t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		n.t.Fatalf("nats-server: %v", err)
	}
	n.stdin, n.address = stdin, strings.TrimSpace(line)
}

// kill ends the server without a goodbye. A second one does nothing.
func (n *natsServer) kill() {
	if n.command == nil {
		return
	}
	_ = n.command.Process.Kill()
	_ = n.command.Wait() // it was killed
	_ = n.stdin.Close()
	n.command = nil
}

// signal is for STOP and CONT: a frozen server keeps its connections and says
// nothing on them, as a cut cable does.
func (n *natsServer) signal(s os.Signal) {
	n.t.Helper()
	if err := n.command.Process.Signal(s); err != nil {
		n.t.Fatalf("signal %v: %v", s, err)
	}
}

// restart comes back where the nodes look for it.
func (n *natsServer) restart() {
	n.t.Helper()
	_, port, err := net.SplitHostPort(n.address)
	if err != nil {
		n.t.Fatal(err)
	}
	number, _ := strconv.Atoi(port) // it is what the server said
	n.start(number)
}

func (n *natsServer) url() string { return "nats://" + n.address }

// app connects to NATS as an application does, until the test ends.
func app(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// fire publishes to a channel and waits until the server has it.
func fire(t *testing.T, nc *nats.Conn, channel string, data []byte) {
	t.Helper()
	if err := nc.Publish("hw.fire.demo."+channel, data); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

// ask requests and returns the answer's text.
func ask(t *testing.T, nc *nats.Conn, subject, data string) string {
	t.Helper()
	answer, err := nc.Request(subject, []byte(data), patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return string(answer.Data)
}

// subscribed listens on a subject, which the server knows when it returns.
func subscribed(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	return sub
}

// message waits for the next one.
func message(t *testing.T, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %v", sub.Subject, err)
	}
	return m
}
