package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is our own path in go.mod.
const module = "hawser"

// sourceFile is one Go file of the repository, parsed. Files of every system
// and build tag are there, as no compiler chose among them.
type sourceFile struct {
	path    string // from the root, with slashes
	test    bool
	syntax  *ast.File
	imports map[string]string // local name to import path
}

// room is the directory of f: its import path without the module.
func (f *sourceFile) room() string { return path.Dir(f.path) }

// source is all Go code of the repository, in the order of paths. The files
// are read with os, so that go's test cache notices when one changes, which a
// call of go list would hide from it.
var source = sync.OnceValues(func() ([]*sourceFile, error) {
	var all []*sourceFile
	files := token.NewFileSet()
	err := walk(func(name string) error {
		if path.Ext(name) != ".go" || strings.Contains(name, "/testdata/") {
			return nil
		}
		text, err := os.ReadFile(fromRoot(name))
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, &sourceFile{path: name, test: strings.HasSuffix(name, "_test.go"), syntax: syntax, imports: importsOf(syntax)})
		return nil
	})
	return all, err
})

// importsOf maps the names that a file uses to what it imports. A name that is
// not spelled out is taken for the last element of the path that is no version.
func importsOf(syntax *ast.File) map[string]string {
	m := make(map[string]string, len(syntax.Imports))
	for i, spec := range syntax.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has checked it
		}
		name := path.Base(target)
		if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(target))
		}
		switch {
		case spec.Name == nil:
		case spec.Name.Name == "_" || spec.Name.Name == ".":
			name = spec.Name.Name + strconv.Itoa(i) // nothing is said with it
		default:
			name = spec.Name.Name
		}
		m[name] = target
	}
	return m
}

// mustSource is source for tests.
func mustSource(t *testing.T) []*sourceFile {
	t.Helper()
	all, err := source()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// generatedDirs hold what others wrote or a build made.
var generatedDirs = []string{".git", "node_modules", "hawser-data"}

// walk calls visit with each file of the repository, by its path from the
// root with slashes, in lexical order.
func walk(visit func(name string) error) error {
	return filepath.WalkDir(fromRoot("."), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(generatedDirs, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(fromRoot("."), p)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return visit(filepath.ToSlash(name))
	})
}

// fromRoot is the path of a file from this package's directory, in which go
// test runs.
func fromRoot(name string) string { return filepath.Join("..", filepath.FromSlash(name)) }

// within reports whether an import path or a room is one of roots or below it.
func within(p string, roots ...string) bool {
	for _, root := range roots {
		if p == root || strings.HasPrefix(p, root+"/") {
			return true
		}
	}
	return false
}

// uses visits each use of a name of an imported package in f, such as
// time.Now, and each go statement, as "go".
func (f *sourceFile) uses(visit func(pkg, name string, at token.Pos)) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			visit("", "go", n.Pos())
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if target, ok := f.imports[x.Name]; ok {
					visit(target, n.Sel.Name, n.Pos())
				}
			}
		}
		return true
	})
}
