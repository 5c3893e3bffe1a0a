package stack

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// elasticsearchPOM is the Maven project that fetches Elasticsearch.
//
//go:embed elasticsearch/pom.xml
var elasticsearchPOM []byte

// elasticsearchPlugin answers GET / in place of a module that the distribution lacks.
//
//go:embed elasticsearch/plugin
var elasticsearchPlugin embed.FS

const (
	pluginSource     = "elasticsearch/plugin/RootPlugin.java"
	pluginDescriptor = "elasticsearch/plugin/plugin-descriptor.properties"
	// elasticsearchDir is the directory in the zip file.
	elasticsearchDir = "elasticsearch-" + elasticsearchVersion
)

// pluginJar is the path of the plugin's jar below the tool's directory. It tells its source: when that is changed, the
// jar is not there.
func pluginJar() (string, error) {
	h := sha256.New()
	for _, name := range []string{pluginSource, pluginDescriptor} {
		content, err := elasticsearchPlugin.ReadFile(name)
		if err != nil {
			return "", err
		}
		h.Write(content)
	}
	return filepath.Join(elasticsearchDir, "plugins", "root", hex.EncodeToString(h.Sum(nil)[:8])+".jar"), nil
}

// makeElasticsearch fetches Elasticsearch into a directory and adds the plugin.
func makeElasticsearch(ctx context.Context, dir string) error {
	if err := copyDependencies(ctx, elasticsearchPOM, dir); err != nil {
		return err
	}
	archive := filepath.Join(dir, elasticsearchDir+".zip")
	if err := unzip(archive, dir); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
	}
	if err := os.Remove(archive); err != nil {
		return err
	}
	if err := addPlugin(ctx, dir); err != nil {
		return fmt.Errorf("build the plugin: %w", err)
	}
	return nil
}

// addPlugin compiles the plugin against Elasticsearch's own jars, and puts it among the plugins.
func addPlugin(ctx context.Context, dir string) error {
	work, err := os.MkdirTemp("", "plugin-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	source, err := elasticsearchPlugin.ReadFile(pluginSource)
	if err != nil {
		return err
	}
	file, classes := filepath.Join(work, filepath.Base(pluginSource)), filepath.Join(work, "classes")
	if err := os.WriteFile(file, source, 0o644); err != nil {
		return err
	}
	jars := filepath.Join(dir, elasticsearchDir, "lib", "*")
	if err := run(exec.CommandContext(ctx, "javac", "--release", "17", "-cp", jars, "-d", classes, file)); err != nil {
		return err
	}
	name, err := pluginJar()
	if err != nil {
		return err
	}
	jar := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(jar), 0o755); err != nil {
		return err
	}
	descriptor, err := elasticsearchPlugin.ReadFile(pluginDescriptor)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(jar), filepath.Base(pluginDescriptor)), descriptor, 0o644); err != nil {
		return err
	}
	return zipDir(classes, jar)
}

// zipDir writes the files of a directory into a zip file, which a jar is.
func zipDir(dir, file string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	err = w.AddFS(os.DirFS(dir))
	return errors.Join(err, w.Close(), f.Close())
}

// unzip unpacks a zip file into a directory.
func unzip(file, dir string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	root, err := os.OpenRoot(dir) // which no path in the file can leave
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range r.File {
		if err := unzipFile(root, f); err != nil {
			return err
		}
	}
	return nil
}

func unzipFile(root *os.Root, f *zip.File) error {
	name := filepath.FromSlash(f.Name)
	if strings.HasSuffix(f.Name, "/") {
		return root.MkdirAll(strings.TrimSuffix(name, string(filepath.Separator)), 0o755)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, f.Mode()&fs.ModePerm|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
