package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// javaHome returns the directory of the Java that is used: $JAVA_HOME, or that of the java on PATH.
func javaHome() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return home, nil
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("java (17 or later) is needed, and neither on PATH nor at $JAVA_HOME")
	}
	if java, err = filepath.EvalSymlinks(java); err != nil {
		return "", fmt.Errorf("find java: %w", err)
	}
	return filepath.Dir(filepath.Dir(java)), nil
}

// copyDependencies has Maven copy the dependencies of a project to a directory.
func copyDependencies(ctx context.Context, pom []byte, dir string) error {
	project, err := os.MkdirTemp("", "pom-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(project)
	if err := os.WriteFile(filepath.Join(project, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	cmd.Dir = project
	return run(cmd)
}
