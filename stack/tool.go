package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// A Tool is a program that the stack needs.
type Tool string

// The tools. Ferrokinesis is not needed by the stack: it takes minutes to build, and does more than kinesalite (split,
// merge, limits).
const (
	Flink         Tool = "flink"
	Versitygw     Tool = "versitygw"
	Kinesalite    Tool = "kinesalite"
	Ferrokinesis  Tool = "ferrokinesis"
	Kafka         Tool = "kafka"
	Elasticsearch Tool = "elasticsearch"
	// Prometheus is for tests of metrics. It is installed from Debian's archive, in the version of this machine's
	// release, and so on Debian and its like only.
	Prometheus Tool = "prometheus"
	// PyArrow is no server but a module of Python 3: it reads Parquet.
	PyArrow Tool = "pyarrow"
)

// Versions of the tools; Flink's is cluster.Version.
const (
	versitygwVersion     = "1.8.0"
	kinesaliteVersion    = "3.3.3"
	ferrokinesisVersion  = "0.7.0"
	kafkaVersion         = "4.4.0"
	elasticsearchVersion = "8.19.21"
	prometheusVersion    = "debian"
	pyarrowVersion       = "21.0.0"
)

// ErrNotInstalled is in the error of whatever needs a tool that is not in the cache.
var ErrNotInstalled = errors.New("not in the cache")

// recipe is how a tool is installed.
type recipe struct {
	version string
	file    string   // that shows it is there, below the tool's directory
	needs   []string // the programs that install it
	takes   string   // what it costs
	make    func(ctx context.Context, dir string) error
}

func (t Tool) recipe() (recipe, bool) {
	switch t {
	case Versitygw:
		return recipe{versitygwVersion, "versitygw", []string{"go"}, "a build of up to 4 minutes", func(ctx context.Context, dir string) error {
			cmd := exec.CommandContext(ctx, "go", "install", "github.com/versity/versitygw/cmd/versitygw@v"+versitygwVersion)
			cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
			cmd.Dir = dir // not in a module
			return run(cmd)
		}}, true
	case Kinesalite:
		return recipe{kinesaliteVersion, "node_modules/kinesalite/index.js", []string{"npm"}, "20 seconds", func(ctx context.Context, dir string) error {
			// Without scripts: what they would build is for data on disk.
			cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund",
				"kinesalite@"+kinesaliteVersion)
			cmd.Dir = dir
			return run(cmd)
		}}, true
	case Ferrokinesis:
		return recipe{ferrokinesisVersion, "bin/ferrokinesis", []string{"cargo"}, "a build of 2 to 7 minutes", func(ctx context.Context, dir string) error {
			cmd := exec.CommandContext(ctx, "cargo", "install", "--locked", "--root", dir, "ferrokinesis@"+ferrokinesisVersion)
			// Tests need its answers, not its speed: less is optimised, in half of the time.
			cmd.Env = append(os.Environ(), "CARGO_PROFILE_RELEASE_OPT_LEVEL=1", "CARGO_PROFILE_RELEASE_LTO=off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16")
			return run(cmd)
		}}, true
	case Kafka:
		return recipe{kafkaVersion, filepath.Join(kafkaBrokerJars, "kafka_2.13-"+kafkaVersion+".jar"), []string{"mvn", "java"}, "a download of 60 MB", func(ctx context.Context, dir string) error {
			if err := copyDependencies(ctx, kafkaPOM, filepath.Join(dir, kafkaBrokerJars)); err != nil {
				return err
			}
			return copyDependencies(ctx, kafkaConsumerPOM, filepath.Join(dir, kafkaConsumerJars))
		}}, true
	case Elasticsearch:
		jar, err := pluginJar()
		if err != nil {
			return recipe{}, false // it is part of the program
		}
		return recipe{elasticsearchVersion, jar, []string{"mvn", "java", "javac"}, "a download of 95 MB", makeElasticsearch}, true
	case Prometheus:
		return recipe{prometheusVersion, prometheusBinary, []string{"apt-get", "dpkg-deb"}, "a download of 20 MB", makePrometheus}, true
	case PyArrow:
		return recipe{pyarrowVersion, "pyarrow", []string{"python3"}, "a download of 43 MB", func(ctx context.Context, dir string) error {
			return run(exec.CommandContext(ctx, "python3", "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:",
				"--target", dir, "pyarrow=="+pyarrowVersion))
		}}, true
	}
	return recipe{}, false
}

// Path returns the path of what an installed tool is started by: a program, a JavaScript module, a jar, or the directory
// of Flink or of a Python module.
// The error is ErrNotInstalled if it is not in the cache.
func (t Tool) Path() (string, error) {
	if t == Flink {
		dir, err := cluster.Installed("")
		if errors.Is(err, cluster.ErrNotInstalled) {
			err = t.notInstalled()
		}
		return dir, err
	}
	r, ok := t.recipe()
	if !ok {
		return "", fmt.Errorf("there is no tool %q", string(t))
	}
	cache, err := cluster.CacheDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(t.dir(cache, r), r.file)
	if _, err := os.Stat(file); err != nil {
		return "", t.notInstalled()
	}
	return file, nil
}

func (t Tool) dir(cache string, r recipe) string {
	return filepath.Join(cache, string(t)+"-"+r.version)
}

func (t Tool) notInstalled() error {
	return fmt.Errorf("%s is %w: run `go run ./stack/cmd install %s`", t, ErrNotInstalled, t)
}

// Install puts a tool into the cache, unless it is there. Several installations at once do no harm: a tool appears
// complete or not at all. Progress, one line a step, goes to report if that is not nil.
func (t Tool) Install(ctx context.Context, report func(string)) error {
	if report == nil {
		report = func(string) {}
	}
	if t == Flink {
		_, err := cluster.Install(ctx, "", report)
		return err
	}
	if _, err := t.Path(); !errors.Is(err, ErrNotInstalled) {
		return err
	}
	r, _ := t.recipe()
	report(fmt.Sprintf("installing %s %s (%s)", t, r.version, r.takes))
	if err := t.install(ctx, r); err != nil {
		return fmt.Errorf("install %s %s: %w", t, r.version, err)
	}
	return nil
}

func (t Tool) install(ctx context.Context, r recipe) error {
	for _, program := range r.needs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is needed, and it is not on PATH", program)
		}
	}
	cache, err := cluster.CacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "."+string(t)+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := r.make(ctx, work); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(work, r.file)); err != nil {
		return fmt.Errorf("%s made no %s", r.needs[0], r.file)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	dir := t.dir(cache, r)
	if _, err := t.Path(); err == nil {
		return nil // another installation was faster
	}
	if err := os.RemoveAll(dir); err != nil { // an incomplete one
		return err
	}
	return os.Rename(work, dir)
}

// run runs a command and has the end of its output in the error.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	return nil
}
