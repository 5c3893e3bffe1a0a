//go:build unix

package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptionsHaveDefaults(t *testing.T) {
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if o.TaskManagers != 1 || o.Slots != 2 || o.StateBackend != HashMap || o.CheckpointInterval != 5*time.Second {
		t.Errorf("options %+v", o)
	}
	if !slices.Equal(o.JVMFlags, []string{FirstCompiler}) {
		t.Errorf("flags of the JVMs are %q", o.JVMFlags)
	}
	if o, err = (Options{JVMFlags: []string{}}).withDefaults(); err != nil || len(o.JVMFlags) > 0 {
		t.Errorf("no flags became %q, error %v", o.JVMFlags, err)
	}
}

func TestOptionsReportAllFaults(t *testing.T) {
	_, err := Options{
		TaskManagers: -1, Slots: -2, CheckpointInterval: time.Millisecond, StateBackend: "disk", TaskManagerMemory: 100,
		JobManagerHeap: 10, CheckpointDir: "relative", ReadyTimeout: -1, Application: &Application{},
	}.withDefaults()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"-1 TaskManagers", "-2 slots", "1ms", `"disk"`, "100 MiB", "10 MiB", "relative is neither", "-1ns", "no jar",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not tell %q", err, part)
		}
	}
}

func TestApplicationsJarIsPutBesideLib(t *testing.T) {
	l := layout{t.TempDir()}
	for _, content := range []string{"a jar", "the jar of a later start"} {
		jar := filepath.Join(t.TempDir(), "etl.jar")
		if err := os.WriteFile(jar, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := l.place(jar); err != nil {
			t.Fatal(err)
		}
		// Flink looks beside $FLINK_LIB_DIR, and wants one jar there.
		found, err := filepath.Glob(filepath.Join(l.lib(), "..", "usrlib", "*.jar"))
		if err != nil || len(found) != 1 {
			t.Fatalf("jars %q, error %v", found, err)
		}
		if got, err := os.ReadFile(found[0]); err != nil || string(got) != content {
			t.Errorf("the jar holds %q, error %v; want %q", got, err, content)
		}
	}
}

func TestSettings(t *testing.T) {
	o, err := Options{
		StateBackend: RocksDB, CheckpointDir: "s3://b/c", SavepointDir: "/with space", Slots: 3,
		Config: map[string]string{"heartbeat.timeout": "5000"},
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := o.settings(layout{"/d"}, 1, 2)
	for name, want := range map[string]string{
		"state.checkpoints.dir":                 "s3://b/c",
		"state.savepoints.dir":                  "file:///with%20space",
		"state.backend.type":                    "rocksdb",
		"taskmanager.numberOfTaskSlots":         "3",
		"execution.checkpointing.interval":      "5000 ms",
		"jobmanager.rpc.port":                   "1",
		"rest.port":                             "2",
		"heartbeat.timeout":                     "5000", // ours is replaced
		"restart-strategy.fixed-delay.attempts": "100",
		"taskmanager.memory.task.off-heap.size": "768m",
		"taskmanager.jvm-exit-on-oom":           "true",
		"io.tmp.dirs":                           "/d/tmp",
	} {
		if s[name] != want {
			t.Errorf("%s is %q, not %q", name, s[name], want)
		}
	}
}

func TestConfigIsQuotedAndSorted(t *testing.T) {
	got := configYAML(map[string]string{"b": `a "b": #c`, "a": "1"})
	if want := "a: \"1\"\nb: \"a \\\"b\\\": #c\"\n"; got != want {
		t.Errorf("config %q, not %q", got, want)
	}
}

func TestJavaVersion(t *testing.T) {
	for said, want := range map[string]int{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime": 17,
		"openjdk version \"11.0.13\" 2021-10-19":                  11,
		"java version \"1.8.0_292\"":                              8,
		"openjdk version \"21\" 2023-09-19":                       21,
	} {
		if got, err := javaVersion(said); err != nil || got != want {
			t.Errorf("%q: version %d, error %v; want %d", said, got, err, want)
		}
	}
	if _, err := javaVersion("command not found"); err == nil {
		t.Error("no error for what is no version")
	}
}

func TestMissingOrWrongJavaIsTold(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := findJava(t.Context()); err == nil || !strings.Contains(err.Error(), "Java 11 or 17") {
		t.Errorf("error %v without java", err)
	}
	home := t.TempDir()
	writeScript(t, home, "bin/java", `echo 'openjdk version "21.0.1"' >&2`)
	t.Setenv("JAVA_HOME", home)
	t.Setenv("PATH", "/usr/bin:/bin")
	if _, err := findJava(t.Context()); err == nil || !strings.Contains(err.Error(), "is Java 21") || !strings.Contains(err.Error(), "set JAVA_HOME") {
		t.Errorf("error %v with Java 21", err)
	}
	writeScript(t, home, "bin/java", `echo 'openjdk version "11.0.1"' >&2`)
	if java, err := findJava(t.Context()); err != nil || !strings.HasPrefix(java, home) {
		t.Errorf("java %s, error %v", java, err)
	}
}

func TestParseFlags(t *testing.T) {
	flags, err := parseFlags("INFO loading\nBASH_JAVA_UTILS_EXEC_RESULT:-Xmx1 -Xms1\nBASH_JAVA_UTILS_EXEC_RESULT:-D a=b\n")
	if err != nil || len(flags.jvm) != 2 || len(flags.settings) != 2 || flags.settings[1] != "a=b" {
		t.Errorf("flags %q, error %v", flags, err)
	}
	if _, err := parseFlags("Exception in thread"); err == nil {
		t.Error("no error for other output")
	}
}
