// Package deploy is what operators copy: for now hawser.yml, the annotated
// configuration with every default.
//
// hawser.yml is not written by hand. It is what `hawser config default`
// prints, from the comments and tags of node.Config; the test of this package
// fails when the two differ, and loads the file as a node would:
//
//	go test ./deploy -update     # after a change of node.Config
//
// The package has no code and no goroutines. Nothing imports it.
package deploy
