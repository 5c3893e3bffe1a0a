// Command install puts a stock Flink into the cache directory, unless it is there, and prints its directory.
//
//	go run ./runners/flink/cluster/install [-cache DIR]
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
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := cluster.Install(ctx, *cache, func(step string) { fmt.Fprintln(os.Stderr, step) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
