package kinesisfake_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestFailNextFailsInTurn(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	server.FailNext("GetRecords", 2, &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"})
	server.FailNext("GetRecords", 1, errors.New("disk on fire"))
	server.FailNext("GetRecords", 0, errors.New("never"))
	it := iteratorOf(t, client, horizon("trips", 0)) // another operation does not count
	for range 2 {
		_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &it})
		var throttled *types.ProvisionedThroughputExceededException
		if !errors.As(err, &throttled) || throttled.ErrorMessage() != "slow down" {
			t.Errorf("got %v", err)
		}
	}
	_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &it})
	wantError(t, err, "InternalFailure", "disk on fire")
	var status *awshttp.ResponseError
	if !errors.As(err, &status) || status.HTTPStatusCode() != 500 || status.ServiceRequestID() == "" {
		t.Errorf("got %v", err)
	}
	get(t, client, it)
	if got := server.Requests("GetRecords"); got != 4 {
		t.Errorf("%d requests counted, want 4", got)
	}
}

func TestControlSeesTheRequest(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 2))
	var mu sync.Mutex
	var seen []string
	remove := server.Control(kinesisfake.AllOperations, func(r *kinesisfake.Request) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.Join([]string{r.Op, r.Stream, r.Shard, r.Region()}, " "))
		if r.Op == "PutRecord" && !strings.Contains(string(r.Body), `"PartitionKey":"a"`) {
			t.Errorf("body %s", r.Body)
		}
		return nil
	})
	put(t, client, "trips", "a", "x")
	get(t, client, iteratorOf(t, client, horizon("trips", 1)))
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/trips"
	shardsOf(t, client, kinesis.ListShardsInput{StreamARN: &arn})
	remove()
	put(t, client, "trips", "a", "x")
	want := "PutRecord trips  us-east-1, GetShardIterator trips shardId-000000000001 us-east-1, " +
		"GetRecords trips shardId-000000000001 us-east-1, ListShards trips  us-east-1"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("saw %s\nwant %s", got, want)
	}
}

func TestControlCanDenyAccessAndRefuseARegion(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	server.Control("PutRecord", func(r *kinesisfake.Request) error {
		return &kinesisfake.Error{Type: "AccessDeniedException", Message: "User: any is not authorized to perform: kinesis:PutRecord"}
	})
	server.Control("ListShards", func(r *kinesisfake.Request) error {
		if r.Region() == "eu-west-1" {
			return nil
		}
		return &kinesisfake.Error{Type: "InvalidSignatureException", Message: "Credential should be scoped to a valid region, not '" + r.Region() + "'."}
	})
	_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("a"), Data: []byte("x")})
	var denied *types.AccessDeniedException
	if !errors.As(err, &denied) {
		t.Errorf("got %v", err)
	}
	_, err = client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("trips")})
	wantError(t, err, "InvalidSignatureException", "not 'us-east-1'")
	if _, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("trips")}, func(o *kinesis.Options) { o.Region = "eu-west-1" }); err != nil {
		t.Error(err)
	}
}

func TestControlDropsTheConnectionBeforeOrAfter(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	send := func(data string) error {
		_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("a"), Data: []byte(data)})
		return err
	}
	server.FailNext("PutRecord", 1, kinesisfake.ErrDrop)
	server.FailNext("PutRecord", 1, kinesisfake.ErrDropAfter)
	for _, data := range []string{"dropped before", "dropped after"} {
		if err := send(data); err == nil || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: got %v", data, err)
		}
	}
	if err := send("whole"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(texts(get(t, client, iteratorOf(t, client, horizon("trips", 0))).Records), ", "); got != "dropped after, whole" {
		t.Errorf("stored %s", got)
	}
}

func TestControlDelaysUntilAnEvent(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	arrived, release := make(chan struct{}), make(chan struct{})
	server.Control("GetRecords", func(r *kinesisfake.Request) error {
		arrived <- struct{}{}
		select {
		case <-release:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	})
	it := iteratorOf(t, client, horizon("trips", 0))
	result := make(chan []string, 1)
	go func() {
		out, err := client.GetRecords(context.WithoutCancel(t.Context()), &kinesis.GetRecordsInput{ShardIterator: &it})
		if err != nil {
			result <- []string{err.Error()}
			return
		}
		result <- texts(out.Records)
	}()
	<-arrived
	put(t, client, "trips", "a", "meanwhile")
	close(release)
	if got := <-result; len(got) != 1 || got[0] != "meanwhile" {
		t.Errorf("the delayed request read %q", got)
	}
}

func TestClosingEndsAHeldRequest(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	arrived, ended := make(chan struct{}), make(chan struct{})
	server.Control("ListStreams", func(r *kinesisfake.Request) error {
		close(arrived)
		<-r.Context().Done()
		close(ended)
		return r.Context().Err()
	})
	failed := make(chan error, 1)
	go func() {
		_, err := client.ListStreams(context.WithoutCancel(t.Context()), &kinesis.ListStreamsInput{})
		failed <- err
	}()
	<-arrived
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if err := <-failed; err == nil {
		t.Error("the held request succeeded")
	}
}

func TestControlEntriesFailsSingleRecords(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	remove := server.ControlEntries(func(e kinesisfake.Entry) *kinesisfake.Error {
		if e.Index%2 == 0 {
			return nil
		}
		if e.Stream != "trips" || e.Shard != "shardId-000000000000" || string(e.Data) != "data of "+e.PartitionKey {
			t.Errorf("entry %+v", e)
		}
		return &kinesisfake.Error{Type: "InternalFailure", Message: `Internal "Service" Failure`}
	})
	var in []types.PutRecordsRequestEntry
	for _, key := range []string{"a", "b", "c", "d"} {
		in = append(in, types.PutRecordsRequestEntry{PartitionKey: aws.String(key), Data: []byte("data of " + key)})
	}
	out, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: in})
	if err != nil {
		t.Fatal(err)
	}
	if *out.FailedRecordCount != 2 || aws.ToString(out.Records[1].ErrorCode) != "InternalFailure" || aws.ToString(out.Records[3].ErrorMessage) != `Internal "Service" Failure` || out.Records[2].SequenceNumber == nil {
		t.Errorf("answer %+v", out.Records)
	}
	remove()
	if _, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: in[1:2]}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(texts(get(t, client, iteratorOf(t, client, horizon("trips", 0))).Records), ", "); got != "data of a, data of c, data of b" {
		t.Errorf("stored %s", got)
	}
}

func TestHandlerServesUnderHTTPTest(t *testing.T) {
	handler, err := kinesisfake.NewHandler(kinesisfake.SeedStream("trips", 1))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	put(t, clientOf(server.URL), "trips", "a", "x")
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	handler, err := kinesisfake.NewHandler(kinesisfake.SeedStream("trips", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, op, contentType, body string
		status                      int
		code                        string
	}{
		{"unknown operation", "Kinesis_20131202.ListStreamConsumers", "application/x-amz-json-1.1", "{}", 400, "UnknownOperationException"},
		{"other service", "DynamoDB_20120810.ListTables", "application/x-amz-json-1.1", "{}", 400, "UnknownOperationException"},
		{"CBOR", "Kinesis_20131202.ListStreams", "application/x-amz-cbor-1.1", "\xa0", 415, "UnsupportedMediaTypeException"},
		{"cut short", "Kinesis_20131202.ListStreams", "application/x-amz-json-1.1", `{"Limit":1`, 400, "SerializationException"},
		{"two objects", "Kinesis_20131202.ListStreams", "application/x-amz-json-1.1", `{}{}`, 400, "SerializationException"},
		{"wrong type", "Kinesis_20131202.ListStreams", "application/x-amz-json-1.1", `{"Limit":"1"}`, 400, "SerializationException"},
		{"timestamp as text", "Kinesis_20131202.GetShardIterator", "application/x-amz-json-1.1", `{"Timestamp":"now"}`, 400, "SerializationException"},
		{"puts cut short", "Kinesis_20131202.PutRecords", "application/x-amz-json-1.1", `{"StreamName":"trips","Records":[{"Data":"eA==","PartitionKey":"a"}`, 400, "SerializationException"},
		{"puts and more", "Kinesis_20131202.PutRecords", "application/x-amz-json-1.1", `{"StreamName":"trips","Records":[{"Data":"eA==","PartitionKey":"a"}]} {}`, 400, "SerializationException"},
		{"puts and a brace", "Kinesis_20131202.PutRecord", "application/x-amz-json-1.1", `{"StreamName":"trips","Data":"eA==","PartitionKey":"a"} } `, 400, "SerializationException"},
		{"data not base64", "Kinesis_20131202.PutRecord", "application/x-amz-json-1.1", `{"StreamName":"trips","Data":"x!","PartitionKey":"a"}`, 400, "SerializationException"},
		{"key not UTF-8", "Kinesis_20131202.PutRecord", "application/x-amz-json-1.1", "{\"StreamName\":\"trips\",\"Data\":\"eA==\",\"PartitionKey\":\"\xff\"}", 400, "SerializationException"},
		{"null members", "Kinesis_20131202.PutRecord", "application/x-amz-json-1.1", `{"StreamName":"trips","Data":null,"PartitionKey":null,"ExplicitHashKey":null}`, 400, "ValidationException"},
		{"null records", "Kinesis_20131202.PutRecords", "application/x-amz-json-1.1", `{"StreamName":"trips","Records":null}`, 400, "ValidationException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			r.Header.Set("X-Amz-Target", test.op)
			r.Header.Set("Content-Type", test.contentType)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			body, err := io.ReadAll(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if w.Code != test.status || !strings.Contains(string(body), `"__type":"`+test.code+`"`) || w.Header().Get("X-Amzn-Errortype") != test.code {
				t.Errorf("got %d %s", w.Code, body)
			}
		})
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("GET: status %d", w.Code)
	}
}
