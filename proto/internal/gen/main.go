// Command gen turns the .proto files of this room into Go, without protoc:
// protocompile parses them, protoc-gen-go's own generator writes them.
// Run it from the module's root: go run ./proto/internal/gen
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// files are the schemas, relative to proto/.
var files = []string{"client/v1/client.proto"}

func main() {
	if err := run("proto"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard, // comments become doc comments
	}
	parsed, err := compiler.Compile(context.Background(), files...)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: files, Parameter: proto.String("paths=source_relative")}
	for _, f := range parsed {
		var d *descriptorpb.FileDescriptorProto = protoutil.ProtoFromFileDescriptor(f)
		request.ProtoFile = append(request.ProtoFile, d)
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	for _, f := range plugin.Files {
		if f.Generate {
			gengo.GenerateFile(plugin, f)
		}
	}
	response := plugin.Response()
	if response.Error != nil {
		return fmt.Errorf("generate: %s", response.GetError())
	}
	for _, f := range response.File {
		path := filepath.Join(root, filepath.FromSlash(f.GetName()))
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", f.GetName(), err)
		}
	}
	return nil
}
