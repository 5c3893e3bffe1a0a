package pipeline

import (
	"runtime/debug"
	"strings"
)

// Version is the program's own, as Go writes it into what is built: a release's
// or one made of the commit, v1.2.3. It is empty where the build has none, as
// that of go run.
func Version(info *debug.BuildInfo, ok bool) string {
	if !ok || !strings.HasPrefix(info.Main.Version, "v") {
		return "" // (devel)
	}
	return info.Main.Version
}
