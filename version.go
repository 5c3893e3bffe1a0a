package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/streaming-etl/streaming-etl/pipeline"
)

// built is what a program tells of how it was made.
type built struct {
	// Version is the module's: a release, or what Go makes of the commit.
	Version string `json:"version"`
	// Commit is the commit's hash, empty where the program was made without
	// its repository; Time is when that was made, Modified that the source
	// was changed since.
	Commit   string `json:"commit"`
	Time     string `json:"commit_time"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// readBuilt reads what the linker has written into the program.
func readBuilt(info *debug.BuildInfo, ok bool) built {
	b := built{Version: cmp.Or(pipeline.Version(info, ok), "(devel)"), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b built) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s, ", programName, b.Version)
	switch {
	case b.Commit == "":
		s.WriteString("commit unknown (go run leaves it out, go build includes it)")
	case b.Modified:
		fmt.Fprintf(&s, "commit %s of %s with changes", b.Commit, b.Time)
	default:
		fmt.Fprintf(&s, "commit %s of %s", b.Commit, b.Time)
	}
	fmt.Fprintf(&s, ", %s, %s", b.Go, b.Platform)
	return s.String()
}

func versionFlags() (*flag.FlagSet, *bool) { return newFlagsJSON("version", "") }

// version is the subcommand, and the flag, that tells what program this is.
func version(args []string, stdout, stderr io.Writer) int {
	f, asJSON := versionFlags()
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	b := readBuilt(debug.ReadBuildInfo())
	return tell(stdout, stderr, *asJSON, b, b.String())
}
