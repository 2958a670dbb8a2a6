package tests

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestPackageDocs wants each package to say what it is.
func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range mustSource(t) {
		doc := f.syntax.Doc.Text()
		documented[f.room()] = documented[f.room()] || strings.HasPrefix(doc, "Package ") || strings.HasPrefix(doc, "Command ")
	}
	for room, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment: want a doc.go with what it is, its goroutines and what it refuses to do", room)
		}
	}
}

// minDocumented is the share of exported names with a doc comment. The best
// codebases of this field have 94 to 97 %.
const minDocumented = 0.95

// TestExportedDocs counts doc comments of exported names outside tests and
// generated code, and names those without.
func TestExportedDocs(t *testing.T) {
	var bare []string
	all := 0
	for _, f := range mustSource(t) {
		if f.test || ast.IsGenerated(f.syntax) || f.syntax.Name.Name == "main" {
			continue
		}
		for _, d := range f.syntax.Decls {
			for name, documented := range exported(d) {
				all++
				if !documented {
					bare = append(bare, f.path+": "+name)
				}
			}
		}
	}
	share := 1 - float64(len(bare))/float64(max(all, 1))
	t.Logf("%.1f %% of %d exported names have a doc comment", 100*share, all)
	if share < minDocumented {
		t.Errorf("want at least %.0f %%; without one are:\n%s", 100*minDocumented, strings.Join(bare, "\n"))
	}
}

// exported yields the exported names of a declaration and whether each has a
// comment: its own, or that of its group.
func exported(d ast.Decl) map[string]bool {
	found := map[string]bool{}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if receiver := receiverOf(d); d.Name.IsExported() && (receiver == "" || ast.IsExported(receiver)) {
			found[strings.TrimPrefix(receiver+"."+d.Name.Name, ".")] = d.Doc != nil
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					found[spec.Name.Name] = d.Doc != nil || spec.Doc != nil || spec.Comment != nil
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() {
						found[name.Name] = d.Doc != nil || spec.Doc != nil || spec.Comment != nil
					}
				}
			}
		}
	}
	return found
}

// receiverOf is the name of a method's type, or "".
func receiverOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	kind := d.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.Name
		default:
			return ""
		}
	}
}

// machinePath finds a path that only one machine has: a home directory, a
// checkout or a scratch directory.
var machinePath = regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(home|root|Users|work|farm|mnt|builds|tmp)/[A-Za-z0-9_]`)

// prose are the extensions of the files that people wrote.
var prose = map[string]bool{".go": true, ".md": true, ".yml": true, ".yaml": true, ".proto": true, ".ts": true, ".js": true,
	".mjs": true, ".json": true, ".html": true, ".css": true, ".txt": true, ".mod": true, ".sh": true, "": true}

func TestNoMachinePaths(t *testing.T) {
	err := walk(func(name string) error {
		if !prose[path.Ext(name)] {
			return nil
		}
		text, err := os.ReadFile(fromRoot(name))
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := machinePath.FindString(line); found != "" {
				t.Errorf("%s:%d: %s…: want no path of one machine", name, i+1, strings.TrimSpace(found))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// link finds the target of a Markdown link.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows the links of our documents to files and headings.
func TestLinks(t *testing.T) {
	err := walk(func(name string) error {
		if path.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(fromRoot(name))
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			checkLink(t, name, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkLink(t *testing.T, from, target string) {
	t.Helper()
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return // other people's
	}
	file, heading, _ := strings.Cut(target, "#")
	if file == "" {
		file = from
	} else {
		file = path.Join(path.Dir(from), file)
	}
	if info, err := os.Stat(fromRoot(file)); err == nil && info.IsDir() {
		return
	}
	text, err := os.ReadFile(fromRoot(file))
	if err != nil {
		t.Errorf("%s links to %s, which is not there", from, target)
		return
	}
	if heading != "" && !headings(string(text))[heading] {
		t.Errorf("%s links to %s: no such heading", from, target)
	}
}

// notInAnchor is what GitHub drops of a heading to make its anchor.
var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func headings(text string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			found[strings.ReplaceAll(title, " ", "-")] = true
		}
	}
	return found
}

// TestTaskfile wants each task to say what it does, and check to be CI.
func TestTaskfile(t *testing.T) {
	text, err := os.ReadFile(fromRoot("Taskfile.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tasks map[string]struct {
			Desc string   `yaml:"desc"`
			Cmds []string `yaml:"cmds"`
		} `yaml:"tasks"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"default", "dev", "check", "test", "bench", "proto", "js", "fuzz", "lint"} {
		if _, found := file.Tasks[name]; !found {
			t.Errorf("Taskfile.yml: no task %s", name)
		}
	}
	for name, task := range file.Tasks {
		if task.Desc == "" {
			t.Errorf("Taskfile.yml: task %s has no desc", name)
		}
	}
	if got := strings.Join(file.Tasks["check"].Cmds, ";"); got != "bash .ci/run" {
		t.Errorf("task check: got %q, want what CI runs", got)
	}
}

// TestReadmeCommands wants the two commands that a newcomer types, as issue 2
// promises them.
func TestReadmeCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go run ./edge/cmd/hawser dev", "go test ./..."} {
		if !strings.Contains(string(text), command) {
			t.Errorf("README.md: no %q", command)
		}
	}
}
