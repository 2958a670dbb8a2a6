// Package tests runs the real stack: many processes, real NATS, real sockets,
// a real browser, kill -9. Nothing imports it.
//
// # Vocabulary
//
//   - Story: a test that tells what users, applications or operators do, and
//     what each of them sees. Small ones run beside each other.
//   - hawser: a process of the command, built once for each test run: with the
//     race detector when the test has it, plain for load. A story that leaves
//     an ERROR line, a race report or a wrong exit code behind fails.
//   - Raw client: the JSON protocol spelled out, beside the SDK, so that an
//     error in our own codec cannot hide behind itself.
//   - Swarm: ten thousand raw clients on one epoll.
//   - Fleet: SDK clients behind a balancer, which leads them to the node that
//     serves now.
//   - Rule: a test that reads our own sources and documents.
//
// # Goroutines
//
// A hawser has one that waits for its exit, joined by finish; a swarm has one
// that reads, joined by its cleanup; a fleet's are those of its SDK clients.
// Processes end with the test, on Linux also when the test is killed. TestMain
// fails the package when goroutines are left.
//
// # What it refuses
//
// It sleeps nowhere and asserts no duration but those that a slow machine can
// only make longer. It uses no fixed port and none but loopback addresses.
package tests
