package elasticsearchio_test

import (
	"context"
	"fmt"
	"log"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
)

// One bundle: what was added is there after Flush, but for what was refused.
func Example() {
	server, err := esfake.Start(esfake.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	options := elasticsearchio.Options{Endpoints: []string{server.URL}}
	if err := options.Check(ctx); err != nil {
		log.Fatal(err)
	}
	client, err := elasticsearchio.New(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	bulk := client.NewBulk()
	for i, index := range []string{"trips-2018.01", "Trips-2018.01"} {
		err := bulk.Add(ctx, &elasticsearchio.Document{
			Index: []byte(index), ID: []byte("4711"), Version: 20180101120000,
			Source: []byte(`{"trip_id":4711,"fare_amount":12.5}`), Ref: i,
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	rejections, err := bulk.Flush(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(server.Documents("trips-2018.01")), "document")
	for _, r := range rejections {
		fmt.Println(r.Ref, r.Reason, r.Detail)
	}
	// Output:
	// 1 document
	// 1 invalid_index invalid_index_name_exception: Invalid index name [Trips-2018.01], must be lowercase
}
