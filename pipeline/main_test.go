package pipeline

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/runners/direct"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	direct.Quiet()
	if endpoint := os.Getenv(commitVariable); endpoint != "" {
		if err := commitInThisProcess(endpoint, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if flags := os.Getenv(runVariable); flags != "" {
		if err := runInThisProcess(flags, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
