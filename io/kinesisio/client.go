package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/streaming-etl/streaming-etl/io/internal/awsregion"
	"github.com/streaming-etl/streaming-etl/io/internal/plainbody"
)

// Timeouts of the client. Three attempts to connect stay under 30 s.
const (
	connectTimeout = 5 * time.Second
	// headerTimeout is the wait for the begin of an answer.
	headerTimeout = 20 * time.Second
	// requestTimeout covers a whole call; the largest brings 10 MB.
	requestTimeout = 60 * time.Second
	// checkTimeout bounds Check.
	checkTimeout = 25 * time.Second
	// checkBackoff bounds the waits between Check's three attempts.
	checkBackoff = 500 * time.Millisecond
	// renewBefore is how long before they expire an assumed role's credentials
	// are renewed, at the latest at half of it.
	renewBefore = 2 * time.Minute
	// idleConnections are kept for the shards that are polled in turn.
	idleConnections = 64
)

// roleSession names the sessions of an assumed role, as audit logs show them.
const roleSession = "streaming-etl"

// ErrNoRegion says that neither the options nor the AWS configuration name a
// region. Packages s3io, elasticsearchio and kafkaio return it too.
var ErrNoRegion = awsregion.ErrUnknown

// NewClient returns a client for the options' region and endpoint. Region and
// credentials that the options leave open come from the AWS configuration:
// environment, profile, container, instance. It sends nothing to Kinesis.
// The client is safe for concurrent use.
func NewClient(ctx context.Context, o Options) (*kinesis.Client, error) {
	client, _, err := newClient(ctx, o)
	return client, err
}

// newClient also returns what closes the client's idle connections.
func newClient(ctx context.Context, o Options) (*kinesis.Client, func(), error) {
	return newClientWithin(ctx, o, requestTimeout)
}

// newClientWithin returns a client whose calls take so long at most, 0 for no
// bound: a subscription is one answer of five minutes.
func newClientWithin(ctx context.Context, o Options, timeout time.Duration) (*kinesis.Client, func(), error) {
	o = o.withDefaults()
	var load []func(*config.LoadOptions) error
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.EmulatorCredentials {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("emulator", "emulator", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" && o.EmulatorCredentials {
		cfg.Region = "us-east-1" // any will do
	}
	if cfg.Region, err = awsregion.Of(ctx, cfg); err != nil {
		return nil, nil, err
	}
	if o.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.RoleARN, func(r *stscreds.AssumeRoleOptions) {
			r.RoleSessionName = roleSession
		})
		cfg.Credentials = aws.NewCredentialsCache(role, func(c *aws.CredentialsCacheOptions) {
			c.ExpiryWindow, c.ExpiryWindowJitterFrac = renewBefore, 0.5
		})
	}
	// The SDK's transport with shorter timeouts. It is for Kinesis alone:
	// credential providers keep theirs, which are shorter still. The
	// configuration has one if AWS_CA_BUNDLE names certificates to trust.
	configured, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		configured = awshttp.NewBuildableClient()
	}
	transport := configured.
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = connectTimeout
			t.ResponseHeaderTimeout = headerTimeout
			t.MaxIdleConnsPerHost = idleConnections
		}).GetTransport()
	client := kinesis.NewFromConfig(cfg, func(k *kinesis.Options) {
		k.HTTPClient = plainbody.Client{Doer: &http.Client{
			Transport: transport,
			Timeout:   timeout,
			// A signed request is for one address; Kinesis sends nobody elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
		// Calls that Close cut short are no news; all others are told as errors.
		k.Logger = logging.Nop{}
		if o.Endpoint != "" {
			k.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return client, transport.CloseIdleConnections, nil
}

// singleAttempt leaves retries to this package: it counts them, keeps them
// apart from throttling, and bounds them by time.
func singleAttempt(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// Check tells within 30 s whether the streams exist and their records can be
// read: it lists shards, gets an iterator and makes one read with it. Call it
// before a job is started. Its errors wrap an *Error, one for each stream.
func (o Options) Check(ctx context.Context) error {
	if err := o.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	each := o.Streams()
	faults := make([]error, len(each))
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() { faults[i] = each[i].check(ctx) })
	}
	wg.Wait()
	return errors.Join(faults...)
}

// fewAttempts bounds a call of a check.
func fewAttempts(k *kinesis.Options) {
	k.Retryer = retry.AddWithMaxBackoffDelay(retry.NewStandard(), checkBackoff)
}

// firstShard returns the id of a shard of the stream.
func (o Options) firstShard(ctx context.Context, client *kinesis.Client) (string, error) {
	name, arn := o.target()
	listed, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name, StreamARN: arn, MaxResults: aws.Int32(1)}, fewAttempts)
	if err != nil {
		return "", o.errorOf(client, "ListShards", "", 0, err)
	}
	if len(listed.Shards) == 0 {
		return "", fmt.Errorf("stream %s has no shards", o.Stream)
	}
	return aws.ToString(listed.Shards[0].ShardId), nil
}

// Check tells within 30 s whether the stream exists and its shards can be
// listed, which the producer does: whether records may be put shows when one is.
func (o ProducerOptions) Check(ctx context.Context) error {
	if err := o.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r := o.reading()
	client, closeIdle, err := newClient(ctx, r)
	if err != nil {
		return err
	}
	defer closeIdle()
	_, err = r.firstShard(ctx, client)
	return err
}

// check checks one stream.
func (o Options) check(ctx context.Context) error {
	client, closeIdle, err := newClient(ctx, o)
	if err != nil {
		return err
	}
	defer closeIdle()
	shard, err := o.firstShard(ctx, client)
	if err != nil {
		return err
	}
	name, arn := o.target()
	iterator, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: name, StreamARN: arn, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeLatest,
	}, fewAttempts)
	if err != nil && classify(ctx, err) != throttled {
		return o.errorOf(client, "GetShardIterator", shard, 0, err)
	}
	if err != nil {
		return nil // there, allowed, and busy
	}
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{StreamARN: arn, ShardIterator: iterator.ShardIterator, Limit: aws.Int32(1)}, fewAttempts)
	if err != nil && classify(ctx, err) != throttled {
		return o.errorOf(client, "GetRecords", shard, 0, err)
	}
	return nil
}

// errorOf wraps err with where and at what it happened; attempts is 0 if unknown.
func (o Options) errorOf(client *kinesis.Client, op, shard string, attempts int, err error) error {
	return &Error{
		Op: op, Stream: o.Stream, Shard: shard, Attempts: attempts, Err: err,
		Region: client.Options().Region, Endpoint: o.Endpoint,
	}
}
