package node

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Key describes one setting of Config, for flags, files and documentation.
type Key struct {
	Path    string // section.key: in the file, and the flag's name
	Env     string // its environment variable
	Type    string // for people: duration, size, whole number, …
	Default string // as one writes it; "" is empty
	Accepts string // the range or the words; "" is anything of Type
	Doc     string // one paragraph, from the field's comment
	Live    bool   // SIGHUP changes it without a restart

	index []int // of the field in Config
	file  bool  // the value is the path of a file that holds the Secret
}

// Section is the key's first part.
func (k Key) Section() string {
	section, _, _ := strings.Cut(k.Path, ".")
	return section
}

// name is the key's last part, as it stands in its section of the file.
func (k Key) name() string {
	return k.Path[strings.LastIndexByte(k.Path, '.')+1:]
}

// slot is what two keys share that set one field: a secret and its _file.
func (k Key) slot() string {
	if k.file {
		return strings.TrimSuffix(k.Path, fileSuffix)
	}
	return k.Path
}

// IsBool reports whether the key is a switch, so that its flag needs no value.
func (k Key) IsBool() bool { return k.Type == typeBool }

// IsList reports whether the key takes several values with commas between.
func (k Key) IsList() bool { return k.Type == typeList }

// The words for Key.Type.
const (
	typeBool     = "true or false"
	typeDuration = "duration"
	typeInt      = "whole number"
	typeList     = "list"
	typePath     = "path"
	typeRules    = "rules"
	typeSecret   = "secret"
	typeSize     = "size"
	typeText     = "text"
)

const (
	envPrefix  = "HAWSER_"
	fileSuffix = "_file"
)

// Keys lists every setting in the order of the file, with base as the
// defaults. Each secret is followed by its _file key.
func Keys(base Config) []Key {
	defaults := reflect.ValueOf(base)
	docs := fieldDocs()
	var keys []Key
	for _, section := range reflect.VisibleFields(defaults.Type()) {
		if section.Type.Kind() != reflect.Struct {
			keys = append(keys, newKey("", docs["Config"], section, defaults))
			continue
		}
		for _, field := range reflect.VisibleFields(section.Type) {
			prefix := yamlName(section) + "."
			doc := docs[section.Type.Name()]
			field.Index = append(section.Index[:1:1], field.Index...)
			key := newKey(prefix, doc, field, defaults)
			keys = append(keys, key)
			if key.Type == typeSecret {
				keys = append(keys, fileKey(key))
			}
		}
	}
	return keys
}

func newKey(prefix string, docs map[string]string, field reflect.StructField, defaults reflect.Value) Key {
	path := prefix + yamlName(field)
	return Key{
		Path:    path,
		Env:     envName(path),
		Type:    typeName(field),
		Default: format(defaults.FieldByIndex(field.Index)),
		Accepts: accepts(field),
		Doc:     docs[field.Name],
		Live:    field.Tag.Get("reload") == "live",
		index:   field.Index,
	}
}

// fileKey is the companion of a secret that names a file instead.
func fileKey(secret Key) Key {
	k := secret
	k.Path += fileSuffix
	k.Env = envName(k.Path)
	k.Type = typePath
	k.Doc = "The file that holds " + secret.name() + ", instead of the secret itself. Spaces and line ends around it are cut off."
	k.file = true
	return k
}

func envName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

func yamlName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return name
}

func typeName(field reflect.StructField) string {
	switch field.Type {
	case reflect.TypeFor[time.Duration]():
		return typeDuration
	case reflect.TypeFor[Size]():
		return typeSize
	case reflect.TypeFor[Secret]():
		return typeSecret
	case reflect.TypeFor[[]string]():
		return typeList
	case reflect.TypeFor[[]ChannelRule]():
		return typeRules
	case reflect.TypeFor[bool]():
		return typeBool
	case reflect.TypeFor[int]():
		return typeInt
	}
	if name := yamlName(field); strings.HasSuffix(name, fileSuffix) || strings.HasSuffix(name, "_dir") {
		return typePath
	}
	return typeText
}

// accepts says for people what the range and enum tags allow.
func accepts(field reflect.StructField) string {
	if words := field.Tag.Get("enum"); words != "" {
		return orWords(strings.Split(words, ","))
	}
	low, high, _ := strings.Cut(field.Tag.Get("range"), "..")
	if low == "" {
		return ""
	}
	return low + " to " + high
}

// orWords joins words as a sentence does: a, b or c.
func orWords(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// format is v as one writes it in the file, on one line.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case Size:
		return x.String()
	case Secret:
		return x.String()
	case int:
		return strconv.Itoa(x)
	case bool:
		return strconv.FormatBool(x)
	case []string:
		return strings.Join(x, ",")
	case []ChannelRule:
		return formatRules(x)
	}
	return v.String()
}

// formatRules is rules as YAML in one line.
func formatRules(rules []ChannelRule) string {
	var list yaml.Node
	if err := list.Encode(rules); err != nil {
		panic("node: channel rules do not encode: " + err.Error()) // strings always do
	}
	list.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&list)
	if err != nil {
		panic("node: channel rules do not encode: " + err.Error())
	}
	return strings.TrimSpace(string(text))
}
