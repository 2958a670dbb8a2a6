// Package demo is the page that a newcomer sees first: a chat over hawser
// with the connection's life laid open, made of the JavaScript SDK and a few
// files without a build step.
//
// Vocabulary: an asset is one file of the page, held in memory with its ETag.
//
// Goroutines: none; Handler is immutable and may serve any number of requests
// at once.
//
// It refuses to hold state, to know what the node does, and to load anything
// from another host: the Content-Security-Policy allows this origin only.
package demo
