package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hawser/edge/auth"
	"hawser/edge/node"
)

func newToken(p Process) *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Make keys and tokens for development, and explain tokens",
	}, newTokenGen(p), newTokenKeygen(), newTokenCheck(p))
}

// keySources is where the token commands look for keys. Unlike a node they may
// find none.
func keySources(p Process) *sources {
	base := node.DefaultConfig()
	base.Auth.AllowAnonymous = true
	return &sources{base: base, environ: p.Environ}
}

func newTokenGen(p Process) *cobra.Command {
	s, opts := keySources(p), auth.MintOptions{}
	var secretFile, keyFile string
	cmd := &cobra.Command{
		Use:   "gen",
		Short: "Sign a token for development",
		Long: "gen signs with --key, --secret-file, or the auth.hmac_secret of the configuration\n" +
			"(--config, HAWSER_AUTH_HMAC_SECRET). There is no flag for the secret itself: the arguments\n" +
			"of a process are visible to every user of the machine.",
		Example: "  hawser token gen --tenant demo --user ann --ttl 1h --sub 'room.*' --pub 'room.*'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.findKey(&opts, keyFile, secretFile); err != nil {
				return usageError{err}
			}
			token, err := auth.Mint(opts)
			if err != nil {
				return usageError{err} // an option that cannot work
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Tenant, "tenant", "", "tenant that the token is for; required")
	f.StringVar(&opts.User, "user", "", "user that the token names (sub); required")
	f.DurationVar(&opts.TTL, "ttl", auth.DefaultTTL, "how long the token is good")
	f.StringSliceVar(&opts.Subscribe, "sub", nil, "channel patterns that it may subscribe to")
	f.StringSliceVar(&opts.Publish, "pub", nil, "channel patterns that it may publish to")
	f.StringVar(&opts.Issuer, "issuer", "", "iss claim; auth.issuer of the configuration when it has one")
	f.StringVar(&opts.Audience, "audience", "", "aud claim beside the tenant; auth.audience when the configuration has one")
	f.StringVar(&opts.KeyID, "kid", "", "key id; the thumbprint of --key when left out")
	f.StringVar(&keyFile, "key", "", "PEM file of a private key, to sign with RS256, ES256 or EdDSA by its type")
	f.StringVar(&secretFile, "secret-file", "", "file of a secret, to sign with HS256")
	s.addFileFlag(cmd)
	return cmd
}

// findKey puts the key into opts, and the claims that the configuration asks
// of tokens.
func (s *sources) findKey(opts *auth.MintOptions, keyFile, secretFile string) error {
	if keyFile != "" && secretFile != "" {
		return errors.New("--key and --secret-file: want one of them")
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if opts.Issuer == "" {
		opts.Issuer = cfg.Auth.Issuer
	}
	if opts.Audience == "" {
		opts.Audience = cfg.Auth.Audience
	}
	switch {
	case keyFile != "":
		text, err := os.ReadFile(keyFile)
		opts.PrivateKey = string(text)
		return err
	case secretFile != "":
		text, err := os.ReadFile(secretFile)
		opts.Secret = strings.TrimSpace(string(text))
		return err
	case cfg.Auth.HMACSecret != "":
		opts.Secret = cfg.Auth.HMACSecret.Reveal()
		return nil
	}
	return errors.New("no key to sign with: give --key, --secret-file, --config or HAWSER_AUTH_HMAC_SECRET")
}

func newTokenKeygen() *cobra.Command {
	var algorithm, name string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a secret or a key pair for tokens",
		Long: "keygen prints a new key. With --out NAME it writes files instead: NAME.secret for HS256;\n" +
			"else NAME.key.pem (private), NAME.pub.pem for auth.public_keys, and NAME.jwks.json to serve at\n" +
			"an auth.jwks_url. It never overwrites a file.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pair, err := auth.GenerateKey(algorithm)
			if err != nil {
				return usageError{err}
			}
			if name != "" {
				return writeKey(cmd.OutOrStdout(), name, pair)
			}
			if pair.Secret != "" {
				fmt.Fprintln(cmd.OutOrStdout(), pair.Secret)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s%s", pair.Private, pair.Public)
			return nil
		},
	}
	cmd.Flags().StringVar(&algorithm, "alg", auth.HS256, "algorithm: "+strings.Join(auth.Algorithms(), ", "))
	cmd.Flags().StringVar(&name, "out", "", "write files whose names start with this, instead of printing")
	return cmd
}

// writeKey writes the files of a key and names each.
func writeKey(w io.Writer, name string, pair auth.KeyPair) error {
	for _, file := range []struct {
		suffix, text string
		mode         os.FileMode
	}{
		{".secret", pair.Secret, 0o600},
		{".key.pem", pair.Private, 0o600},
		{".pub.pem", pair.Public, 0o644},
		{".jwks.json", pair.JWKS, 0o644},
	} {
		if file.text == "" {
			continue
		}
		if err := writeNew(name+file.suffix, file.text, file.mode); err != nil {
			return err
		}
		fmt.Fprintln(w, name+file.suffix)
	}
	return nil
}

// writeNew creates a file; one that is there already is an error, as it may be
// the only copy of a key.
func writeNew(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// inspectTimeout is how long token check waits for an auth.jwks_url.
const inspectTimeout = 10 * time.Second

func newTokenCheck(p Process) *cobra.Command {
	s, out := keySources(p), output{}
	var tenant string
	cmd := &cobra.Command{
		Use:   "check [token]",
		Short: "Explain a token and why it is accepted or refused",
		Long: "check reads the token from its argument or, without one or with -, from standard input.\n" +
			"With keys in the configuration (--config, HAWSER_AUTH_…) it verifies as a node would and exits 0\n" +
			"when the token is good, else 1. Without keys it says what the token claims, and exits 0 when its\n" +
			"form is right.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := readToken(cmd.InOrStdin(), args)
			if err != nil {
				return usageError{err}
			}
			in, err := s.inspect(cmd.Context(), tenant, token)
			if err != nil {
				return err
			}
			if err := out.write(cmd.OutOrStdout(), in, func(w io.Writer) { inspectionTable(w, in) }); err != nil {
				return err
			}
			return verdict(in)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant to check for; the token's own when left out")
	s.addFileFlag(cmd)
	out.addFlag(cmd)
	return cmd
}

// maxTokenInput is the most that check reads; no token is longer.
const maxTokenInput = 64 << 10 // bytes

func readToken(stdin io.Reader, args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxTokenInput))
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	if len(text) == 0 {
		return "", errors.New("no token: give it as an argument or on standard input")
	}
	return strings.TrimSpace(string(text)), nil
}

// inspect asks the configured keys; without any it looks at the form alone.
func (s *sources) inspect(ctx context.Context, tenant, token string) (auth.Inspection, error) {
	cfg, err := s.load()
	if err != nil {
		return auth.Inspection{}, err
	}
	if cfg.Auth.HMACSecret == "" && len(cfg.Auth.PublicKeys) == 0 && cfg.Auth.JWKSURL == "" {
		return auth.Inspect(token), nil
	}
	rules, err := cfg.Auth.Verifier()
	if err != nil {
		return auth.Inspection{}, usageError{err}
	}
	verifier, err := auth.New(rules, auth.Options{})
	if err != nil {
		return auth.Inspection{}, usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	verifier.Open(ctx)
	defer verifier.Close()
	return verifier.Inspect(ctx, tenant, token), nil
}

func inspectionTable(w io.Writer, in auth.Inspection) {
	row(w, "algorithm", in.Algorithm)
	row(w, "key id", in.KeyID)
	row(w, "user", in.User)
	row(w, "tenants", strings.Join(in.Tenants, ", "))
	row(w, "audience", strings.Join(in.Audience, ", "))
	row(w, "issuer", in.Issuer)
	row(w, "issued at", timeText(in.IssuedAt))
	row(w, "not before", timeText(in.NotBefore))
	row(w, "expires", timeText(in.Expires))
	row(w, "subscribe", strings.Join(in.Subscribe, ", "))
	row(w, "publish", strings.Join(in.Publish, ", "))
	for _, c := range in.Checks {
		row(w, "check "+c.Name, checkText(c))
	}
	row(w, "verdict", in.Message)
}

func timeText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

func checkText(c auth.Check) string {
	if c.Passed {
		return "ok"
	}
	return "failed: " + c.Detail
}

// verdict is the exit code's error: nil for a good token, or for one of right
// form that no key was asked about.
func verdict(in auth.Inspection) error {
	if in.Accepted || !in.Verified && in.Reason == auth.ReasonOK.String() {
		return nil
	}
	return fmt.Errorf("token refused: %s", in.Reason)
}
