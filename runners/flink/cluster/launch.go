package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

// Flink's main classes.
const (
	jobManagerClass  = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
	applicationClass = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint"
	taskManagerClass = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
	utilitiesClass   = "org.apache.flink.runtime.util.bash.BashJavaUtils"
)

const jobManagerName = "jobmanager"

func taskManagerName(i int) string { return fmt.Sprintf("taskmanager-%d", i) }

// resourceID names a TaskManager's process to Flink: the place, and which of the processes in it.
func resourceID(i, started int) string { return fmt.Sprintf("%s-%d", taskManagerName(i), started) }

func (c *Cluster) launchJobManager() error {
	class := jobManagerClass
	var args []string
	if a := c.options.Application; a != nil {
		if err := c.layout.place(a.Jar); err != nil {
			return err
		}
		class = applicationClass
		if a.SavepointPath != "" {
			args = append(args, "--fromSavepoint", a.SavepointPath)
		}
		args = append(args, a.Args...)
	}
	p, err := c.launch(jobManagerName, []string{
		fmt.Sprintf("-Xmx%dm", c.options.JobManagerHeap),
		"-XX:MaxMetaspaceSize=256m", // each job brings its classes, until it is over
	}, class, args...)
	if err != nil {
		return err
	}
	c.jobManager = p
	return nil
}

func (c *Cluster) launchTaskManager(i int) error {
	tm := &c.taskManagers[i]
	args := append(slices.Clone(c.tmFlags.settings), "-D", "taskmanager.resource-id="+resourceID(i, tm.started+1))
	args = append(args, c.reporterArgs(i)...)
	p, err := c.launch(taskManagerName(i), c.tmFlags.jvm, taskManagerClass, args...)
	if err != nil {
		return err
	}
	tm.process = p
	tm.started++
	return nil
}

// launch starts a JVM with one of Flink's main classes.
func (c *Cluster) launch(name string, flags []string, class string, args ...string) (*process.Process, error) {
	command := slices.Concat(
		[]string{c.java},
		flags,
		openPackages(),
		c.options.JVMFlags,
		[]string{
			"-Djava.io.tmpdir=" + c.layout.temp(),
			"-Dlog.file=" + c.layout.log(name),
			"-Dlog4j.configurationFile=" + filepath.Join(c.layout.conf(), loggingFile),
			"-cp", filepath.Join(c.options.Flink, "lib", "*"),
			class,
			"--configDir", c.layout.conf(),
		},
		args,
	)
	return c.host.Start(process.Spec{
		Name: name,
		Args: command,
		Env: slices.Concat([]string{
			"FLINK_CONF_DIR=" + c.layout.conf(),
			"FLINK_LIB_DIR=" + c.layout.lib(), // beside which Flink looks for an application's jar
			"FLINK_PLUGINS_DIR=" + filepath.Join(c.options.Flink, "plugins"),
		}, c.options.Env),
		Dir:    c.layout.dir,
		Output: c.layout.said(name),
		Log:    c.layout.log(name),
	})
}

// jvmFlags are what Flink makes of its memory settings: flags of the JVM, and settings that fix the parts.
type jvmFlags struct{ jvm, settings []string }

// taskManagerFlags asks Flink's own utility for the flags of a TaskManager, as Flink's start scripts do.
func (c *Cluster) taskManagerFlags(ctx context.Context) (jvmFlags, error) {
	cmd := exec.CommandContext(ctx, c.java, FirstCompiler, "-cp",
		filepath.Join(c.options.Flink, "bin", "bash-java-utils.jar")+":"+filepath.Join(c.options.Flink, "lib", "*"),
		utilitiesClass, "GET_TM_RESOURCE_PARAMS", "--configDir", c.layout.conf())
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return jvmFlags{}, fmt.Errorf("compute the TaskManagers' memory: %w\n%s%s", err, out, said.String())
	}
	flags, err := parseFlags(string(out))
	if err != nil {
		return jvmFlags{}, fmt.Errorf("compute the TaskManagers' memory: %w:\n%s", err, out)
	}
	return flags, nil
}

// parseFlags reads the utility's two lines of results out of what else it prints.
func parseFlags(out string) (jvmFlags, error) {
	var results [][]string
	for line := range strings.Lines(out) {
		if result, ok := strings.CutPrefix(line, "BASH_JAVA_UTILS_EXEC_RESULT:"); ok {
			results = append(results, strings.Fields(result))
		}
	}
	if len(results) != 2 {
		return jvmFlags{}, errors.New("unexpected output")
	}
	return jvmFlags{jvm: results[0], settings: results[1]}, nil
}
