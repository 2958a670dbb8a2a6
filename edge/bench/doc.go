// Package bench is the load tool behind `hawser bench`: it measures any hawser
// from another process, and can start the server it measures.
//
// # Vocabulary
//
//   - Target: the server under load: a URL for clients, a meter, and a way to
//     publish. Either hawser, or a bare gws server (bare.go) that the same load
//     is put on for comparison.
//   - Scenario: connect, idle, fanout or echo; one file each. A Run is the
//     result of one scenario in one case (such as "burst 16") on one target.
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
// # Goroutines
//
//   - run: the command's own goroutine; drives the scenario and reads meters.
//   - loop: one a core (poll engine), or one a connection (goroutine engine);
//     owns reads. Everything a loop holds is guarded by its mu, so that run can
//     act on peers too. Joined by swarm.close.
//   - child: one a spawned server, reading its output; joined by child.stop.
//   - In the child, the bare gws server's own; the process ends with them.
//
// # What it refuses
//
// Load on others' servers: a target that is not loopback needs
// --i-own-this-target. Anything endless: every scenario is bounded in
// connections, time and messages. TLS: a balancer's cost would be measured as
// hawser's. More connections than the process has file descriptors for.
package bench
