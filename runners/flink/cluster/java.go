package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// The Java versions that Flink 1.19 runs on.
const (
	oldestJava = 11
	newestJava = 17
)

// findJava returns the path of a java program that Flink runs on: that of $JAVA_HOME, or else the one on PATH.
func findJava(ctx context.Context) (string, error) {
	java := filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")
	if os.Getenv("JAVA_HOME") == "" {
		found, err := exec.LookPath("java")
		if err != nil {
			return "", fmt.Errorf("there is no java on PATH, nor is JAVA_HOME set: Flink %s needs Java 11 or 17", Version)
		}
		java = found
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", java, err)
	}
	version, err := javaVersion(string(out))
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", java, err)
	}
	if version < oldestJava || version > newestJava {
		return "", fmt.Errorf("%s is Java %d: Flink %s needs Java 11 or 17: set JAVA_HOME", java, version, Version)
	}
	return java, nil
}

var versionText = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// javaVersion returns the feature version out of what `java -version` says: 8 for "1.8.0_292", 17 for "17.0.15".
func javaVersion(said string) (int, error) {
	m := versionText.FindStringSubmatch(said)
	if m == nil {
		return 0, errors.New("it says none")
	}
	return strconv.Atoi(m[1])
}

// openPackages are what Flink and its libraries reach into by reflection; Java 17 asks for permission. They are those
// of Flink's own default configuration (env.java.opts.all).
func openPackages() []string {
	var flags []string
	for _, p := range []string{
		"java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5",
		"jdk.compiler/com.sun.tools.javac.api", "jdk.compiler/com.sun.tools.javac.file",
		"jdk.compiler/com.sun.tools.javac.parser", "jdk.compiler/com.sun.tools.javac.tree",
		"jdk.compiler/com.sun.tools.javac.util",
	} {
		flags = append(flags, "--add-exports="+p+"=ALL-UNNAMED")
	}
	for _, p := range []string{
		"lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent", "util.concurrent.atomic",
		"util.concurrent.locks",
	} {
		flags = append(flags, "--add-opens=java.base/java."+p+"=ALL-UNNAMED")
	}
	return append(flags, "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED")
}
