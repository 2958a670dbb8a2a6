// Package js carries the built TypeScript SDK, so that the demo page needs no
// Node to be served. The SDK itself is in src, its build in dist (committed;
// CI rebuilds it and fails on a difference), its manual in README.md.
//
// Goroutines: none. It refuses to build anything: run npm run build here.
package js

import _ "embed"

// Module is the SDK as one minified ES module. Do not change it.
//
//go:embed dist/hawser.min.js
var Module []byte
