package node

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FileEnv names the configuration file, as --config does.
const FileEnv = "HAWSER_CONFIG"

// Sources says where the values of a Config come from. Each overrides those
// above it.
type Sources struct {
	Base    Config            // DefaultConfig or DevConfig
	File    string            // path of the YAML file; "" for none
	Environ []string          // os.Environ(); only HAWSER_* is read
	Flags   map[string]string // Key.Path to value, as typed
}

// Load merges the sources and validates the result. The error names every
// unknown key and bad value with its file and line, variable or flag, one a
// line. An empty environment variable counts as not set.
func Load(s Sources) (Config, error) {
	l := newLoader(s.Base)
	if s.File != "" {
		l.addFile(s.File)
	}
	l.addEnviron(s.Environ)
	l.addFlags(s.Flags)
	c := l.apply(s.Base)
	if len(l.problems) == 0 {
		l.check(c)
	}
	return c, l.err()
}

// origin is where a setting comes from.
type origin struct {
	layer int
	name  string // of the file or the variable
	line  int    // in the file; 0: the whole of it
}

// The layers, weakest first.
const (
	layerDefault = iota
	layerFile
	layerEnv
	layerFlag
)

// prefix stands before a complaint, which begins with the key.
func (o origin) prefix() string {
	switch {
	case o.layer == layerFlag:
		return "--"
	case o.line > 0:
		return fmt.Sprintf("%s:%d: ", o.name, o.line)
	case o.name != "":
		return o.name + ": "
	}
	return ""
}

// setting is the value that one source gives one key.
type setting struct {
	key   Key
	value *yaml.Node
	origin
}

// at is the origin, with the line of a part of the value where there is one.
func (s setting) at(line int) origin {
	if s.layer == layerFile && line > 0 {
		s.line = line
	}
	return s.origin
}

// empty reports whether the value is "", which for a _file means none.
func (s setting) empty() bool {
	return s.value.Kind == yaml.ScalarNode && s.value.Value == ""
}

// loader collects settings by slot; the strongest stays.
type loader struct {
	keys     []Key
	byPath   map[string]Key
	settings map[string]setting
	problems []problem
}

type problem struct {
	origin
	err error
}

func newLoader(base Config) *loader {
	l := &loader{keys: Keys(base), byPath: map[string]Key{}, settings: map[string]setting{}}
	for _, k := range l.keys {
		l.byPath[k.Path] = k
	}
	return l
}

func (l *loader) fail(at origin, format string, args ...any) {
	l.problems = append(l.problems, problem{at, fmt.Errorf(format, args...)})
}

// err joins the problems in the order in which a reader meets their places.
func (l *loader) err() error {
	slices.SortStableFunc(l.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(a.line, b.line))
	})
	var all []error
	for _, p := range l.problems {
		all = append(all, fmt.Errorf("%s%w", p.prefix(), p.err))
	}
	return errors.Join(all...)
}

// add keeps s unless its slot holds something stronger. A secret and its
// _file in one layer cannot both be meant.
func (l *loader) add(s setting) {
	old, taken := l.settings[s.key.slot()]
	if taken && old.layer == s.layer {
		if !old.empty() && !s.empty() {
			l.fail(s.origin, "%s and %s are both set: keep one", old.key.Path, s.key.Path)
			return
		}
		if s.empty() {
			return
		}
	}
	l.settings[s.key.slot()] = s
}

// ---- file

func (l *loader) addFile(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		l.fail(origin{layer: layerFile}, "configuration file: %w", err)
		return
	}
	root, err := parseYAML(text)
	if err != nil {
		l.fail(origin{layer: layerFile, name: path}, "%w", err)
		return
	}
	if root == nil {
		return
	}
	f := &fileLoader{loader: l, path: path}
	f.addRoot(root)
}

// parseYAML returns the one document of text, nil when there is none.
func parseYAML(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one YAML document, found a second after ---")
	}
	return document.Content[0], nil
}

// fileLoader adds the settings of one file.
type fileLoader struct {
	*loader
	path string
}

func (f *fileLoader) at(line int) origin { return origin{layerFile, f.path, line} }

func (f *fileLoader) addRoot(root *yaml.Node) {
	if isNull(root) {
		return
	}
	sections := f.sections()
	f.eachPair(root, "the file", func(name string, at int, value *yaml.Node) {
		switch {
		case f.byPath[name].Path != "": // channels: a key without a section
			f.addSetting(f.byPath[name], at, value)
		case slices.Contains(sections, name):
			if !isNull(value) { // a section with every key commented out
				f.addSection(name, value)
			}
		default:
			f.fail(f.at(at), "unknown section %q%s", name, didYouMean(name, sections))
		}
	})
}

func (f *fileLoader) addSection(section string, node *yaml.Node) {
	f.eachPair(node, "section "+section, func(name string, at int, value *yaml.Node) {
		path := section + "." + name
		if key, ok := f.byPath[path]; ok {
			f.addSetting(key, at, value)
			return
		}
		f.fail(f.at(at), "unknown key %q%s", path, f.suggestPath(section, name))
	})
}

// eachPair calls add for each key of a mapping, and complains of one that is
// not a mapping or has a key twice.
func (f *fileLoader) eachPair(node *yaml.Node, what string, add func(name string, line int, value *yaml.Node)) {
	if node = deref(node); node.Kind != yaml.MappingNode {
		f.fail(f.at(node.Line), "%s: want key: value lines, found a %s", what, kindName(node))
		return
	}
	first := map[string]int{}
	for i := 0; i < len(node.Content); i += 2 {
		name, line := node.Content[i].Value, node.Content[i].Line
		if before, twice := first[name]; twice {
			f.fail(f.at(line), "%q is there twice, first in line %d: keep one", name, before)
			continue
		}
		first[name] = line
		add(name, line, node.Content[i+1])
	}
}

// variable is how people write what hawser does not expand.
var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

func (f *fileLoader) addSetting(key Key, line int, value *yaml.Node) {
	if value = deref(value); value.Kind == yaml.ScalarNode && variable.MatchString(value.Value) {
		f.fail(f.at(line), "%s: %s is not expanded in this file: set the environment variable %s instead",
			key.Path, variable.FindString(value.Value), key.Env)
		return
	}
	f.add(setting{key, value, f.at(line)})
}

// suggestPath looks in the section first, then for the same name in others,
// then for anything near.
func (f *fileLoader) suggestPath(section, name string) string {
	var siblings []string
	for _, k := range f.keys {
		if k.Section() == section {
			siblings = append(siblings, k.name())
		}
	}
	if near := Nearest(name, siblings); near != "" {
		return didYouMean(section+"."+near, []string{section + "." + near})
	}
	for _, k := range f.keys {
		if k.name() == name {
			return didYouMean(k.Path, []string{k.Path})
		}
	}
	return didYouMean(section+"."+name, paths(f.keys))
}

// sections lists the top of the file, in its order.
func (f *fileLoader) sections() []string {
	var all []string
	for _, k := range f.keys {
		all = append(all, k.Section())
	}
	return slices.Compact(all)
}

func isNull(n *yaml.Node) bool {
	n = deref(n)
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// ---- environment and flags

// serviceLink matches the variables that Kubernetes puts into every container
// for a Service named hawser or hawser-*; they are not meant for us.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var serviceLink = regexp.MustCompile(`^HAWSER_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

func (l *loader) addEnviron(environ []string) {
	byEnv := map[string]Key{}
	for _, k := range l.keys {
		byEnv[k.Env] = k
	}
	names := append(slices.Sorted(maps.Keys(byEnv)), FileEnv)
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || value == "" || name == FileEnv {
			continue
		}
		from := origin{layer: layerEnv, name: name}
		if key, ok := byEnv[name]; ok {
			l.add(setting{key, scalar(value), from})
		} else if !serviceLink.MatchString(name) {
			l.fail(from, "unknown environment variable%s", didYouMean(name, names))
		}
	}
}

func (l *loader) addFlags(flags map[string]string) {
	for _, path := range slices.Sorted(maps.Keys(flags)) {
		from := origin{layer: layerFlag}
		if key, ok := l.byPath[path]; ok {
			l.add(setting{key, scalar(flags[path]), from})
		} else {
			l.fail(from, "%s: unknown flag%s", path, didYouMean(path, paths(l.keys)))
		}
	}
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// ---- result

// apply sets what the settings say over base.
func (l *loader) apply(base Config) Config {
	target := reflect.ValueOf(&base).Elem()
	for _, key := range l.keys {
		s, ok := l.settings[key.Path] // the slot of a _file is its secret's path
		if !ok {
			continue
		}
		if err := s.set(target.FieldByIndex(key.index)); err != nil {
			var below *lineError
			errors.As(err, &below)
			l.fail(s.at(cmp.Or(below, &lineError{}).line), "%s: %w", s.key.Path, err)
		}
	}
	return base
}

func (s setting) set(field reflect.Value) error {
	if !s.key.file {
		return decode(s.value, field)
	}
	var path string
	if err := decode(s.value, reflect.ValueOf(&path).Elem()); err != nil || path == "" {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return fmt.Errorf("%s is empty", path)
	}
	field.SetString(secret)
	return nil
}

// check validates c and says where each bad value came from.
func (l *loader) check(c Config) {
	for _, bad := range c.check() {
		s := l.settings[bad.slot()] // the zero setting when it is the default
		from := s.origin
		if s.value != nil {
			from = s.at(bad.line(s.value))
		}
		l.fail(from, "%w", bad)
	}
}
