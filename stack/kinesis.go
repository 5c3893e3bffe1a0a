package stack

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

// kinesaliteServer runs kinesalite: its own command listens on all interfaces. The arguments are the module and the
// port. Kinesalite 3.3.3 throws the error of a request that its client breaks off, as one does whose context ends, and
// that would be its end.
const kinesaliteServer = `
const [module, port] = process.argv.slice(1)
process.on('uncaughtException', err => {
  if (err.code === 'ECONNRESET') return
  console.error(err)
  process.exit(1)
})
require(module)({ shardLimit: 500, createStreamMs: 100, deleteStreamMs: 100, updateStreamMs: 100 })
  .listen(Number(port), '127.0.0.1')
`

// RunKinesis starts a Kinesis server: Kinesalite or Ferrokinesis. The directory takes its log. The data is in memory:
// streams are gone when the server is stopped.
//
// Ferrokinesis 0.7.0 numbers the records of a put before it stores them, and holds no lock over both: of two puts at
// one time to one shard the later one can be stored and read first, and a reader that follows the shard's end has then
// passed the earlier one by, which Kinesis never lets happen. So this process is a proxy before it, at the server's
// Endpoint, which lets in one PutRecord or PutRecords at a time, and all other calls as they come. It ends with the
// server. The flags are more of its own; Kinesalite takes none.
func RunKinesis(ctx context.Context, kind Tool, dir string, flags ...string) (*Server, error) {
	path, err := kind.Path()
	if err != nil {
		return nil, err
	}
	if kind == Ferrokinesis {
		// It listens on all interfaces, and cannot be told otherwise.
		server := &Server{name: string(kind), health: "/_health/ready", onePut: true}
		return startFirst(ctx, server, dir, func(port, _ int) (process.Spec, error) {
			return process.Spec{Args: append([]string{path, "--port", strconv.Itoa(port), "--region", Region,
				"--shard-limit", "500", "--create-stream-ms", "100", "--delete-stream-ms", "100", "--update-stream-ms", "100"}, flags...)}, nil
		})
	}
	return startServer(ctx, string(kind), dir, "/", func(port int) process.Spec {
		return process.Spec{
			Args: []string{"node", "-e", kinesaliteServer, filepath.Dir(path), strconv.Itoa(port)},
			Env:  []string{"AWS_REGION=" + Region},
		}
	})
}

// InstalledKinesis returns the Kinesis server that is installed: Ferrokinesis, or else Kinesalite, whether it is or
// not.
func InstalledKinesis() Tool {
	if _, err := Ferrokinesis.Path(); err == nil {
		return Ferrokinesis
	}
	return Kinesalite
}
