package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
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
// into them, the Java classes by the jar's Maven project.
func writeJarBOM(jar, version, pom string) (err error) {
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
		if !strings.HasPrefix(f.Name, "worker/linux-") {
			continue
		}
		info, err := infoOf(f)
		if err != nil {
			return fmt.Errorf("read what %s in %s is made of: %w", f.Name, jar, err)
		}
		add(goComponents(info)...)
	}
	libraries, err := mavenComponents(pom)
	if err != nil {
		return fmt.Errorf("read the Java libraries of %s: %w", pom, err)
	}
	add(libraries...)
	return writeBOM(jar, version, all, nil)
}

func infoOf(f *zip.File) (info *debug.BuildInfo, err error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return buildinfo.Read(bytes.NewReader(content))
}

// mavenProject is of a pom.xml what is needed here.
type mavenProject struct {
	Properties struct {
		All []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	} `xml:"properties"`
	Dependencies []struct {
		Group      string `xml:"groupId"`
		Name       string `xml:"artifactId"`
		Version    string `xml:"version"`
		Scope      string `xml:"scope"`
		Exclusions []struct {
			Group string `xml:"groupId"`
			Name  string `xml:"artifactId"`
		} `xml:"exclusions>exclusion"`
	} `xml:"dependencies>dependency"`
}

// mavenComponents lists the libraries that a Maven project packs into its jar.
// That is all of them only where each is named and excludes what it would pull
// with it: another one is an error.
func mavenComponents(pom string) ([]component, error) {
	text, err := os.ReadFile(pom)
	if err != nil {
		return nil, err
	}
	var p mavenProject
	if err := xml.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	var replace []string
	for _, v := range p.Properties.All {
		replace = append(replace, "${"+v.XMLName.Local+"}", strings.TrimSpace(v.Value))
	}
	values := strings.NewReplacer(replace...)
	var out []component
	for _, d := range p.Dependencies {
		if d.Scope != "" && d.Scope != "compile" && d.Scope != "runtime" {
			continue // from the cluster, or for tests
		}
		c := component{Type: "library", Group: values.Replace(d.Group), Name: values.Replace(d.Name), Version: values.Replace(d.Version)}
		if len(d.Exclusions) != 1 || d.Exclusions[0].Group != "*" || d.Exclusions[0].Name != "*" {
			return nil, fmt.Errorf("%s pulls libraries with it that are not named", c.Name)
		}
		if c.Group == "" || c.Name == "" || c.Version == "" || strings.Contains(c.Version, "$") {
			return nil, fmt.Errorf("dependency %s:%s has the version %q", c.Group, c.Name, c.Version)
		}
		c.PURL = "pkg:maven/" + c.Group + "/" + c.Name + "@" + c.Version
		c.Ref = c.PURL
		out = append(out, c)
	}
	return out, nil
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
