package node

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode sets v from a YAML node. Environment and flags come here as nodes
// too, so that one value means the same wherever it is written.
func decode(n *yaml.Node, v reflect.Value) error {
	n = deref(n)
	switch v.Interface().(type) {
	case []string:
		return decodeList(n, v)
	case []ChannelRule:
		return decodeRules(n, v)
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("want one value, found a %s", kindName(n))
	}
	if n.Tag == "!!null" {
		return errors.New(`no value: give one, write "" for none, or remove the key`)
	}
	return decodeText(n.Value, v)
}

func decodeText(text string, v reflect.Value) error {
	switch x := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return wrapValue(text, x.UnmarshalText([]byte(text)))
	case *time.Duration:
		d, err := parseDuration(text)
		*x = d
		return wrapValue(text, err)
	case *int:
		i, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return wrapValue(text, errors.New("want a whole number"))
		}
		*x = i
		return nil
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return wrapValue(text, errors.New("want true or false"))
		}
		*x = b
		return nil
	}
	v.SetString(text)
	return nil
}

// lineError is an error below the line of its key.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// wrapValue puts the offending text in front of err.
func wrapValue(text string, err error) error {
	if err != nil {
		err = fmt.Errorf("%q: %w", text, err)
	}
	return err
}

func decodeList(n *yaml.Node, v reflect.Value) error {
	var items []string // nil when empty, as in DefaultConfig
	switch {
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			item = deref(item)
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return fmt.Errorf("want a list of texts, found a %s in it", kindName(item))
			}
			items = append(items, item.Value)
		}
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		items = splitList(n.Value)
	default:
		return fmt.Errorf("want a list such as [a, b], found %s", kindName(n))
	}
	v.Set(reflect.ValueOf(items))
	return nil
}

// splitList cuts "a, b" into its items; "" has none.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// decodeRules takes a sequence of mappings, or the same as YAML in a text,
// which is how environment and flags bring it.
func decodeRules(n *yaml.Node, v reflect.Value) error {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(n.Value), &document); err != nil || len(document.Content) == 0 {
			return errors.New(`want a list such as [{pattern: "news.>", subscribe: allow}]`)
		}
		n = deref(document.Content[0])
	}
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("want a list of rules, found %s", kindName(n))
	}
	rules := make([]ChannelRule, len(n.Content))
	for i, item := range n.Content {
		if err := decodeRule(deref(item), &rules[i]); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	v.Set(reflect.ValueOf(rules))
	return nil
}

func decodeRule(n *yaml.Node, rule *ChannelRule) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("want a mapping with pattern and subscribe, found %s", kindName(n))
	}
	*rule = ChannelRule{Publish: Refuse}
	v := reflect.ValueOf(rule).Elem()
	fields, seen := ruleFields(), map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i].Value
		index, known := fields[name]
		if !known {
			return &lineError{n.Content[i].Line, fmt.Errorf("unknown key %q%s", name, didYouMean(name, ruleKeys))}
		}
		if seen[name] {
			return &lineError{n.Content[i].Line, fmt.Errorf("%s is there twice", name)}
		}
		seen[name] = true
		if err := decode(n.Content[i+1], v.Field(index)); err != nil {
			return &lineError{n.Content[i].Line, fmt.Errorf("%s: %w", name, err)}
		}
	}
	if rule.PublishTo == "" && rule.Publish != Refuse {
		rule.PublishTo = ToApp
	}
	return nil
}

// ruleKeys are the keys of a ChannelRule, in their order.
var ruleKeys = func() []string {
	var keys []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[ChannelRule]()) {
		keys = append(keys, yamlName(field))
	}
	return keys
}()

func ruleFields() map[string]int {
	fields := make(map[string]int, len(ruleKeys))
	for i, key := range ruleKeys {
		fields[key] = i
	}
	return fields
}

// deref follows a YAML alias (*name) to what it stands for.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "mapping"
	case n.Kind == yaml.SequenceNode:
		return "list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "single value"
}
