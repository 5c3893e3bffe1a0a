package s3io_test

import (
	"context"
	"fmt"
	"log"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

func Example() {
	ctx := context.Background()
	server, err := s3fake.New(s3fake.Options{Bucket: "trips"})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	store, err := s3io.New(ctx, s3io.Options{Bucket: "trips", Endpoint: server.URL(), Anonymous: true})
	if err != nil {
		log.Fatal(err)
	}
	upload, err := store.Create(ctx, "pickup_location=007/part-1.json", "application/x-ndjson", nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := fmt.Fprintln(upload, `{"trip_id": 1}`); err != nil {
		log.Fatal(err)
	}
	token, err := upload.Finish(ctx)
	if err != nil {
		log.Fatal(err)
	}
	token.Rows = 1

	// The token travels as bytes; whoever gets it commits, once or more often.
	token, err = s3io.DecodeToken(s3io.EncodeToken(token))
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		outcome, err := store.Commit(ctx, token)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(outcome, token, token.Size, "bytes,", token.Rows, "row")
	}
	// Output:
	// committed s3://trips/pickup_location=007/part-1.json 15 bytes, 1 row
	// already committed s3://trips/pickup_location=007/part-1.json 15 bytes, 1 row
}
