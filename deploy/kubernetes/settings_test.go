package kubernetes

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// composed begin the settings whose names Flink puts together, or leaves to a
// plugin or to the operator.
var composed = []string{"metrics.reporter.prom.", "fs.s3a.", "kubernetes.operator."}

// Flink passes over a setting whose name it does not know, without a word.
func TestFlinkKnowsTheSettings(t *testing.T) {
	jars, err := filepath.Glob(filepath.Join(cacheDir(t), "flink-1.20.*", "lib", "flink-dist-*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(jars) == 0 {
		const install = "Flink 1.20 is not installed: go run ./runners/flink/cluster/install -release 1.20.5"
		if os.Getenv("ETL_STACK") == "require" {
			t.Fatal(install)
		}
		t.Skip(install)
	}
	archive, err := zip.OpenReader(jars[0])
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var options bytes.Buffer
	for _, f := range archive.File {
		if !strings.HasPrefix(f.Name, "org/apache/flink/configuration/") {
			continue
		}
		class, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(&options, class)
		class.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	known := func(key string) bool { return bytes.Contains(options.Bytes(), []byte(key)) }
	if known("execution.checkpointing.no-such-setting") || options.Len() == 0 {
		t.Fatal("Flink's options are not read rightly")
	}
settings:
	for key := range theDeployment(t).Spec.FlinkConfiguration {
		for _, prefix := range composed {
			if strings.HasPrefix(key, prefix) {
				continue settings
			}
		}
		if !known(key) {
			t.Errorf("Flink has no setting %s", key)
		}
	}
}
