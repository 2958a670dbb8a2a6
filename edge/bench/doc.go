// Package bench is the load tool behind `hawser bench`: it measures any hawser
// from another process, and can start the server it measures.
//
// # Vocabulary
//
//   - Target: the server under load: a URL for clients, a meter, and a way to
//     publish. Either hawser, or a bare server that the same load is put on for
//     comparison: bare gws (bare.go), or bare epoll (bare_epoll_linux.go), one
//     write a message and subscriber and nothing else: the floor.
//   - Scenario: connect, idle, fanout or echo (scenario.go). A Run is the
//     result of one scenario in one case (such as "burst 16") on one target.
//   - Crowd: the scenario that one process has too few file descriptors for:
//     server processes, and a client process for each (crowd_client.go).
//   - Stalled: a peer that stops reading while others are measured (stall.go).
//   - Swarm: the connections of one scenario, split over loops. Peer: one of
//     them. Script: what a scenario does when a peer joins or gets a message.
//   - Meter: the server's own word on its CPU and memory: /metrics, or /proc.
//   - Stamp: what each message begins with: its number in its channel, and when
//     it was sent or should have been.
//
// # What the figures mean
//
// Latency is from the stamp to the end of the read that brought the message,
// in this process, so it includes this tool's own queueing: on a machine that
// client and server share, look at server CPU per delivery first. Open loop
// echo counts from when a message was due, not from when it could be sent.
// Lost, duplicated and reordered are exact: each peer follows the numbers.
//
// To compare a single message with bare epoll, publish over a WebSocket to
// both with --nats "": hawser's still goes through NATS and back, in between.
// With --stall all figures are those of the peers that read, but for
// stalled_reset_count: the stalled whose reset was seen. A server that ends
// one with a FIN is right too, and not in it.
//
// A crowd's answers are to a ping command, which the session answers and not
// the socket. Its kernel memory is that of both ends of a connection.
//
// # Goroutines
//
//   - run: the command's own goroutine; drives the scenario and reads meters.
//   - loop: one a core (poll engine), or one a connection (goroutine engine);
//     owns reads. Everything a loop holds is guarded by its mu, so that run can
//     act on peers too. Joined by swarm.close.
//   - child: three a spawned server or crowd client, two of them reading its
//     output; joined by child.stop.
//   - In the child, the bare servers' own; the process ends with them. A crowd
//     client reads its orders on its main goroutine, and ends when they do.
//
// # Queues
//
//   - crowdClient.reports, one: a report that nobody ordered is dropped.
//
// # What it refuses
//
// Load on others' servers: a target that is not loopback needs
// --i-own-this-target. Anything endless: every scenario is bounded in
// connections, time and messages. TLS: a balancer's cost would be measured as
// hawser's. More connections than the process has file descriptors for.
package bench
