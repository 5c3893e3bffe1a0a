package leak

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAClientOfKafkaThatIsLeftIsSeen(t *testing.T) {
	before := Before()
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if left := before.Left(); left != "1 clients of Kafka open" {
		t.Errorf("left is %q", left)
	}
	if left := Before().Left(); left != "" {
		t.Errorf("a client that was there before is left: %s", left)
	}
	client.Close()
	before.NoneLeft(t)
}

func TestAFileThatIsLeftOpenIsSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("which files are open is told by Linux alone")
	}
	before := Before()
	f, err := os.Create(filepath.Join(t.TempDir(), "left"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if left := before.Left(); !strings.HasSuffix(left, "left open") {
		t.Errorf("left is %q", left)
	}
	if left := Before().Left(); left != "" {
		t.Errorf("a file that was open before is left: %s", left)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	before.NoneLeft(t)
}
