// Package auth says who a client is: it verifies JSON Web Tokens, mints them
// for development, and seals the resume tokens that carry a session from one
// socket to the next.
//
// # Vocabulary
//
// Token: a signed JWT (RFC 7519) from the application's identity provider.
// Key: what verifies tokens; it has exactly one algorithm. Key id: the name a
// token gives its key (kid). Key set: the keys at Config.JWKSURL. Resume token:
// our own sealed record of a session, opaque to the client. Reason: why a
// token was refused, from a fixed list.
//
// # What a token must say
//
//	{
//	  "sub": "ann",                  the user; required, see names.CheckUser
//	  "aud": "hawser:demo",          the tenant, as "hawser:<tenant>" or "<tenant>"; string or list
//	  "exp": 1790000000,             required unless Config.RequireExpiry is off
//	  "nbf": …, "iat": …,            optional; not in the future
//	  "iss": "https://id.example",   must equal Config.Issuer when that is set
//	  "hw": {"sub": ["room.*"], "pub": ["room.>"]}   optional permissions, at most 64 patterns
//	}
//
// The tenant is that of the path, /ws/{tenant}. Identity providers that put
// the name of an API into aud use Config.Audience: aud must then hold that
// name, and the tenant may also come from the claim "tenant" (string or list).
// Without Config.Audience that claim grants nothing, since tokens of the same
// provider for quite another service may carry it; but in either case a token
// whose "tenant" is another one is refused.
//
// # Goroutines
//
//   - remoteKeys.refreshLoop: the only one, and only when Config.JWKSURL is
//     set. Verifier.Open starts it, Verifier.Close joins it. It fetches the
//     key set and then completes the verifications that wait for it.
//
// All else runs on the caller's goroutine and never blocks. Key rings are
// immutable and swapped whole.
//
// # Queues
//
// One: verifications that wait for a fetch of the key set, at most
// maxWaiting. Its overflow is ReasonOverflow: the client is told 503 and to
// try again, and Options.Observe sees it.
//
// # What it refuses to do
//
// It takes no algorithm from the token (CVE-2015-9235): the key has one, and a
// token that states another is refused. It reads a kid only to look it up in a
// map, and never follows jku, jwk, x5u or x5c. It does not decrypt (JWE), does
// not take symmetric keys from a key set, and does not check tokens against
// the issuer one by one (introspection). It keeps no list of revoked tokens:
// short expiry is the tool, and the session enforces it on live connections.
package auth
