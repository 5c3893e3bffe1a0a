package main

import (
	"archive/zip"
	"bufio"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// bomSuffix is what the name of a description ends with, behind that of what
// it describes.
const bomSuffix = ".cdx.json"

// bom is a CycloneDX document of version 1.6, of as much as is used here. It has
// no serial number and no time: those would differ from build to build.
type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   bomMeta     `json:"metadata"`
	Components []component `json:"components"`
}

type bomMeta struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref,omitempty"`
	Group      string     `json:"group,omitempty"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []bomHash  `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type bomHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// writeBinaryBOM describes a binary by what the linker has written into it.
func writeBinaryBOM(path, version string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what %s is made of: %w", path, err)
	}
	return writeBOM(path, version, goComponents(info), commitOf(info))
}

func goComponents(info *debug.BuildInfo) []component {
	out := []component{{Type: "library", Ref: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"), Name: "std",
		Version: strings.TrimPrefix(info.GoVersion, "go"), PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
		if m.Sum != "" {
			// Go's hash is of all files of a module, which none of CycloneDX's algorithms is.
			c.Properties = []property{{"go:sum", m.Sum}}
		}
		out = append(out, c)
	}
	return out
}

func commitOf(info *debug.BuildInfo) []property {
	var out []property
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.time" || s.Key == "vcs.modified" {
			out = append(out, property{s.Key, s.Value})
		}
	}
	return out
}

// writeJarBOM describes the jar: the workers by what the linker has written
// into them, the Java classes by what Maven has left of each library.
func writeJarBOM(jar, version string) (err error) {
	in, err := zip.OpenReader(jar)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	seen := map[string]bool{}
	var all []component
	add := func(list ...component) {
		for _, c := range list {
			if !seen[c.PURL] {
				seen[c.PURL] = true
				all = append(all, c)
			}
		}
	}
	for _, f := range in.File {
		switch dir, name := path.Split(f.Name); {
		case dir == "worker/" && strings.HasPrefix(name, "linux-"):
			info, err := infoOf(f)
			if err != nil {
				return fmt.Errorf("read what %s in %s is made of: %w", f.Name, jar, err)
			}
			add(goComponents(info)...)
		case strings.HasPrefix(dir, "META-INF/maven/") && name == "pom.properties":
			c, err := mavenComponent(f)
			if err != nil {
				return fmt.Errorf("read %s in %s: %w", f.Name, jar, err)
			}
			add(c)
		}
	}
	return writeBOM(jar, version, all, nil)
}

func infoOf(f *zip.File) (info *debug.BuildInfo, err error) {
	content, err := readEntry(f)
	if err != nil {
		return nil, err
	}
	return buildinfo.Read(strings.NewReader(content))
}

func readEntry(f *zip.File) (text string, err error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	all, err := io.ReadAll(r)
	return string(all), err
}

func mavenComponent(f *zip.File) (component, error) {
	text, err := readEntry(f)
	if err != nil {
		return component{}, err
	}
	values := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	group, name, version := values["groupId"], values["artifactId"], values["version"]
	if group == "" || name == "" || version == "" {
		return component{}, errors.New("it does not name group, artifact and version")
	}
	purl := "pkg:maven/" + group + "/" + name + "@" + version
	return component{Type: "library", Ref: purl, Group: group, Name: name, Version: version, PURL: purl}, nil
}

func writeBOM(path, version string, components []component, properties []property) error {
	sum, err := fileSum(path)
	if err != nil {
		return err
	}
	slices.SortFunc(components, func(a, b component) int { return cmp.Compare(a.PURL, b.PURL) })
	text, err := json.MarshalIndent(bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: bomMeta{Component: component{
			Type: "application", Ref: filepath.Base(path), Name: filepath.Base(path), Version: version,
			Hashes: []bomHash{{"SHA-256", sum}}, Properties: properties,
		}},
		Components: components,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path+bomSuffix, append(text, '\n'), 0o644)
}
