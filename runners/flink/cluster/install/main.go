// Command install puts a stock Flink into the cache directory, unless it is there, and prints its directory.
//
//	go run ./runners/flink/cluster/install [-release VERSION] [-cache DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

func main() {
	cache := flag.String("cache", "", "the cache `directory` (default $"+cluster.CacheVariable+
		", or streaming-etl in the user's cache directory)")
	release := flag.String("release", cluster.Version, "the `version` of Flink: "+string(cluster.Flink119)+" or "+string(cluster.Flink120))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := cluster.Release(*release).Install(ctx, *cache, func(step string) { fmt.Fprintln(os.Stderr, step) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
