package node

import (
	_ "embed"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"sync"
)

// configSource is config.go: its field comments are the documentation of the
// keys, so that the text an operator reads cannot drift from the one a
// programmer reads.
//
//go:embed config.go
var configSource string

// fieldDocs maps type name and field name to the field's comment as one
// paragraph that speaks of the key, not of the Go field.
var fieldDocs = sync.OnceValue(func() map[string]map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", configSource, parser.ParseComments)
	if err != nil {
		panic("node: the embedded config.go does not parse: " + err.Error()) // it was compiled
	}
	docs := map[string]map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if fields, ok := spec.Type.(*ast.StructType); ok {
				docs[spec.Name.Name] = docsOf(fields)
			}
		}
		return true
	})
	return docs
})

func docsOf(fields *ast.StructType) map[string]string {
	docs := map[string]string{}
	for _, field := range fields.Fields.List {
		for _, name := range field.Names {
			docs[name.Name] = keyDoc(name.Name, field.Doc.Text())
		}
	}
	return docs
}

// keyDoc turns "PongTimeout is how long …" into "How long …": the reader of a
// configuration file knows the key's name already.
func keyDoc(name, comment string) string {
	text := strings.Join(strings.Fields(comment), " ")
	text = strings.TrimPrefix(text, name+" ")
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
