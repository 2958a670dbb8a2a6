package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"hawser/edge/node"
)

const configFlag = "config"

// sources are a command's ways to a configuration: --config, one flag per key,
// and the environment.
type sources struct {
	base    node.Config
	environ []string
	check   func(node.Config) error // beyond Validate; nil: nothing
	file    string
	flags   map[string]string // key path to what was typed
}

// addFileFlag gives cmd --config.
func (s *sources) addFileFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.file, configFlag, "", "configuration file in YAML; also "+node.FileEnv)
}

// addKeyFlags gives cmd a flag for every key.
func (s *sources) addKeyFlags(cmd *cobra.Command) {
	s.flags = map[string]string{}
	cmd.Flags().SortFlags = false // the order of the file
	for _, key := range node.Keys(s.base) {
		flag := cmd.Flags().VarPF(&keyFlag{key, s.flags}, key.Path, "", usage(key))
		if key.IsBool() {
			flag.NoOptDefVal = "true"
		}
	}
}

// usage is the first sentence of a key's documentation.
func usage(key node.Key) string {
	sentence, _, _ := strings.Cut(key.Doc, ". ")
	return strings.TrimSuffix(sentence, ".")
}

// load merges and validates. Its errors are the user's to repair.
func (s *sources) load() (node.Config, error) {
	cfg, err := node.Load(node.Sources{Base: s.base, File: s.path(), Environ: s.environ, Flags: s.flags})
	if err == nil && s.check != nil {
		err = s.check(cfg)
	}
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// path is the configuration file: --config, else HAWSER_CONFIG, else none.
func (s *sources) path() string {
	if s.file != "" {
		return s.file
	}
	for _, entry := range s.environ {
		if path, ok := strings.CutPrefix(entry, node.FileEnv+"="); ok {
			return path
		}
	}
	return ""
}

// keyFlag is the flag of one key. It only keeps the text: node.Load parses all
// sources alike. A list's flag may be repeated.
type keyFlag struct {
	key   node.Key
	typed map[string]string
}

func (f *keyFlag) Set(text string) error {
	if before, again := f.typed[f.key.Path]; again && f.key.IsList() {
		text = before + "," + text
	}
	f.typed[f.key.Path] = text
	return nil
}

// String is called by pflag for the default, on zero values too.
func (f *keyFlag) String() string {
	if f == nil || f.key.Default == "0" || f.key.Default == "0B" || f.key.Default == "false" {
		return ""
	}
	return f.key.Default
}

// Type is the word after the flag's name in --help.
func (f *keyFlag) Type() string {
	if f.key.IsBool() {
		return "bool"
	}
	return strings.ReplaceAll(f.key.Type, " ", "-")
}
