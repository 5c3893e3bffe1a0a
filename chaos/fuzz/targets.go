//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// A target is a fuzz function.
type target struct {
	pkg, dir string // the package's import path and directory
	module   string
	function string
}

// name is the target's in the account: its folder in the module, and its function.
func (t target) name() string {
	folder := strings.TrimPrefix(strings.TrimPrefix(t.pkg, t.module), "/")
	return path.Join(".", folder) + " " + t.function
}

// find lists the targets of the module at dir.
func find(ctx context.Context, dir string) ([]target, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Dir,Module,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	var targets []target
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Dir           string
			Module                    struct{ Path string }
			TestGoFiles, XTestGoFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return targets, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
			functions, err := fuzzFunctions(filepath.Join(p.Dir, file), nil)
			if err != nil {
				return nil, err
			}
			for _, f := range functions {
				targets = append(targets, target{pkg: p.ImportPath, dir: p.Dir, module: p.Module.Path, function: f})
			}
		}
	}
}

// fuzzFunctions lists the fuzz functions of a file, or of its text when that is given.
func fuzzFunctions(name string, text any) (functions []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") && len(f.Type.Params.List) == 1 {
			functions = append(functions, f.Name.Name)
		}
	}
	return functions, nil
}
