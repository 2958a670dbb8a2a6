package node

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// KeyError is a value that a key cannot have.
type KeyError struct {
	Key   string // section.key, or channels[0].pattern
	Value string // as one writes it; secrets are hidden
	Want  string // what would do
}

// Error names key, value and what is accepted.
func (e *KeyError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf(`%s "": want %s`, e.Key, e.Want)
	}
	return fmt.Sprintf("%s %s: want %s", e.Key, e.Value, e.Want)
}

// slot is the key of the setting that holds the value.
func (e *KeyError) slot() string {
	slot, _, _ := strings.Cut(e.Key, "[")
	return slot
}

// line is the line of the value within its setting: that of the rule for
// channels[i].key, else 0.
func (e *KeyError) line(value *yaml.Node) int {
	_, rest, _ := strings.Cut(e.Key, "[")
	number, field, _ := strings.Cut(rest, "].")
	i, err := strconv.Atoi(number)
	if err != nil || i >= len(value.Content) {
		return 0
	}
	rule := deref(value.Content[i])
	for j := 0; j < len(rule.Content); j += 2 {
		if rule.Content[j].Value == field {
			return rule.Content[j].Line
		}
	}
	return rule.Line
}

// Validate reports every field that cannot work, each as a *KeyError with
// key, value and accepted range, joined one a line.
func (c Config) Validate() error {
	var all []error
	for _, bad := range c.check() {
		all = append(all, bad)
	}
	return errors.Join(all...)
}

// checker collects what is wrong with one Config.
type checker struct{ problems []*KeyError }

func (k *checker) fail(key string, value any, want string, args ...any) {
	k.problems = append(k.problems, &KeyError{key, format(reflect.ValueOf(value)), fmt.Sprintf(want, args...)})
}

func (c Config) check() []*KeyError {
	k := &checker{}
	k.tags(reflect.ValueOf(c), "")
	k.node(c.Node)
	k.edge(c.Edge)
	k.auth(c.Auth)
	k.channels(c.Channels)
	k.nats(c.NATS)
	k.ladder(c)
	k.listeners(c)
	return k.problems
}

// tags checks every range and enum tag below v.
func (k *checker) tags(v reflect.Value, prefix string) {
	for _, field := range reflect.VisibleFields(v.Type()) {
		value, path := v.FieldByIndex(field.Index), prefix+yamlName(field)
		if value.Kind() == reflect.Struct {
			k.tags(value, path+".")
			continue
		}
		if words := field.Tag.Get("enum"); words != "" {
			k.enum(path, value, strings.Split(words, ","))
		}
		if limits := field.Tag.Get("range"); limits != "" {
			k.limits(path, value, limits)
		}
	}
}

func (k *checker) enum(path string, value reflect.Value, words []string) {
	if !slices.Contains(words, value.String()) {
		k.fail(path, value.String(), "%s%s", orWords(words), didYouMean(value.String(), words))
	}
}

// limits compares as int64, which durations, sizes and numbers all are.
func (k *checker) limits(path string, value reflect.Value, limits string) {
	low, high, _ := strings.Cut(limits, "..")
	if n := value.Int(); n < limit(low, value.Type()) || n > limit(high, value.Type()) {
		k.fail(path, value.Interface(), "%s to %s", low, high)
	}
}

// limit parses one end of a range tag as a t.
func limit(text string, t reflect.Type) int64 {
	v := reflect.New(t).Elem()
	if err := decodeText(text, v); err != nil {
		panic("node: range tag: " + err.Error())
	}
	return v.Int()
}
