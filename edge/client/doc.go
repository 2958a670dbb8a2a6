// Package client is the Go SDK of hawser: one connection that keeps itself
// up, and the subscriptions, publications and rpc calls made through it.
//
//	c, err := client.New(client.Config{URL: "ws://127.0.0.1:8080/ws/demo"})
//	if err != nil { … }
//	defer c.Close(ctx)
//	if err := c.Connect(ctx); err != nil { … }
//	sub, err := c.Subscribe(ctx, "news", func(ctx context.Context, p client.Publication) { … })
//	err = c.Publish(ctx, "news", []byte(`{"text":"hello"}`))
//	answer, err := c.RPC(ctx, "clock.now", nil)
//
// # Vocabulary
//
// A Client is a session: it survives its sockets. An attempt is one try to
// have a socket, from the token to the end of that socket. A Subscription
// lives until Unsubscribe, a permanent refusal or Close; each new socket is
// asked for it again. The machine in state.go says what follows what.
//
// # States
//
//	Initialized  after New
//	Connecting   an attempt runs
//	Connected    the server answered connect
//	Suspended    waiting for the next attempt
//	Failed       the server or the token callback said stop; Connect tries again
//	Closed       after Close; for ever
//
// Attempts wait rand(0, min(20 s, 500 ms × 2ⁿ)) on top of what the server
// asked for in retry_after_ms. n grows with each attempt that fails and with
// each connection that ends before it was stable for a minute. What a close
// code means is the advice column of proto/cause: retry, token (retry with a
// fresh token) or stop.
//
// # Delivery
//
// Handlers run one at a time, on one goroutine, in the order in which the
// server sent. Between them and the socket is a queue of Config.QueueLen
// messages. Its overflow is called backpressure: reading stops until a
// handler returns, Stats.Stalls counts it, and when it lasts the server closes
// with slow_consumer or pong_timeout and the client reconnects; in channels
// whose slow rule says so, it drops publications instead. Nothing is dropped
// here. What was published while no socket was up is not delivered:
// OnResubscribed says after which point a channel may have a gap.
//
// # Goroutines
//
//	run       one a client, from the first Connect to Close; owns the machine,
//	          the retry and stability timers and the random source
//	session   one an attempt; owns the token, the dial, refresh, and the order
//	          of subscribe and unsubscribe commands; joined by Close
//	readLoop  one a socket, inside gws; hands messages to the queue and answers
//	          to callers; joined by session
//	writeLoop one a socket; the only writer of data frames; joined by session
//	dispatch  one a client; runs every callback but Config.Token; joined by Close
//
// # What it refuses
//
// It keeps no queue of commands for better times: a call waits for the
// connection as long as its context allows, and fails with it. It repeats no
// command by itself but subscribe and unsubscribe, as it cannot know whether
// a publish or rpc was done. It never puts a token into a URL. It reads
// nothing but its Config: no environment, no files, no package state.
package client
