// Package cli is the command hawser: dev, serve, config, token, bench,
// causes and version. It parses flags and the environment, which nothing else reads,
// and calls the packages that do the work.
//
// # Vocabulary
//
// Process: what the operating system gives a command. Sources: where a
// command's configuration comes from. Service: one run of a node under the
// signals of its process.
//
// # Goroutines
//
//   - The caller's, in Main, runs the command. Under serve and dev it owns the
//     service: the signals, the configuration in force and the log level.
//   - One more under serve and dev, in service.run, is inside Node.Run;
//     service.run starts it and waits for its end.
//
// # Queues
//
// One: signals, eight of them. A signal that finds it full is dropped by
// os/signal; the ones before it already ask for the same.
//
// # Exit codes
//
// 0: done; a drained node too. 1: the command ran and failed. 2: a bad flag,
// argument or configuration; nothing was done.
//
// # What it refuses to do
//
// It holds no logic of a node, takes no secret as an argument of the token
// commands (arguments are visible to every user of the machine), and looks for
// no configuration file that it was not told of.
package cli
