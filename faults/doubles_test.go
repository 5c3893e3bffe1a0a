//go:build linux

package faults

import (
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// positionField is where a job tells what it has made an event of.
const positionField = "written_from"

// mostVain bounds the kills of which none doubles anything.
const mostVain = 8

// TestDoublesOfAStreamAreDropped has a job write a stream, at least once, with kills, and another one read that stream,
// with kills, by enhanced fan-out, which drops what the first has written twice.
func TestDoublesOfAStreamAreDropped(t *testing.T) {
	random := randomness(t)
	l := theLab(t)
	fake, err := kinesisfake.New(kinesisfake.SeedStream(streamName, shards), kinesisfake.SeedStream(copiesName, shards))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	writer := &run{lab: l, fake: fake}
	writer.fromStream(fake.URL())
	writer.feed = startFeed(t, newStreamSender(t, l.trips, fake.URL()), number(t, rateVariable, defaultKafkaRate))
	writer.sinks = append(writer.sinks, "--OutputKinesisStream="+copiesName, "--OutputStreamEndpoint="+fake.URL(),
		"--OutputKinesisPartitionKey="+keyTemplate, "--OutputKinesisPositionField="+positionField,
		"--DeadLetterBucket=s3://"+bucketName+"/refused/"+t.Name()+"/", "--OutputBucketEndpoint="+l.s3.Endpoint())
	copies := startStreamWatch(t, writer, positionField)
	writer.outlets = append(writer.outlets, copies)
	writer.cancelAtEnd(t)

	reader := &run{lab: l, fake: fake, feed: writer.feed}
	reader.fromStream(fake.URL())
	reader.source[0] = "--InputKinesisStream=" + copiesName
	reader.source = append(reader.source, "--InputDeduplicateBy="+positionField, "--InputStreamConsumer=EFO")
	reader.toBucket(t)
	reader.cancelAtEnd(t)

	writer.submit(t, l.jar, taskManagers, "")
	reader.submit(t, l.jar, taskManagers, "")
	reader.steady(t)
	// A kill soon after a checkpoint doubles nothing: what comes next is written when its bundle ends.
	for round := 0; round < rounds(t) || round < mostVain && !copies.hasDoubles(); round++ {
		time.Sleep(within(random, spread))
		copies.underWay(t, writer, func() { // both jobs have a worker there
			before := reader.status(t).Restarts
			reader.damage()
			writer.killTaskManager(t, random)
			reader.restarted(t, before)
		})
	}
	sent := reader.feed.end(t)
	reader.comes(t, "all trips delivered", func(got tally) bool { return got.delivered >= sent })
	writer.cancel(t)
	reader.finish(t)
	copies.report(t)
	if copies.doubled == 0 {
		t.Error("nothing was doubled, so nothing was dropped")
	}
}
