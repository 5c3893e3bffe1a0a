package security

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/streaming-etl/streaming-etl/io/internal/awsregion"
)

// Constants of AWS_MSK_IAM, from the description of the mechanism in AWS's
// library for it (aws-msk-iam-auth, README, "Details").
const (
	mskService = "kafka-cluster"
	mskAction  = "kafka-cluster:Connect"
	mskVersion = "2020_10_22"
	// mskExpires is the longest life that the service allows a signature.
	mskExpires = 15 * time.Minute
	mskAgent   = "streaming-etl"
)

// mskIAM is AWS_MSK_IAM: the client sends a presigned request for the action
// Connect as a JSON object, the broker answers with one of its own.
//
// franz-go has the mechanism too, but takes the region only from the broker's
// name and the environment, which fails behind other names (private links).
type mskIAM struct {
	credentials aws.CredentialsProvider
	// region is that of brokers whose names tell none.
	region string
	now    func() time.Time
}

// newMSKIAM loads the AWS configuration. Credentials are taken from it, or
// from the role to assume, at each login; they are renewed before they expire.
func newMSKIAM(ctx context.Context, c Config) (*mskIAM, error) {
	var load []func(*config.LoadOptions) error
	if c.Region != "" {
		load = append(load, config.WithRegion(c.Region))
	}
	conf, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	m := &mskIAM{credentials: conf.Credentials, region: conf.Region, now: time.Now}
	if c.RoleARN != "" {
		m.credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(conf), c.RoleARN,
			func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = mskAgent }))
	}
	return m, nil
}

func (*mskIAM) Name() string { return AWSMSKIAM }

func (m *mskIAM) Authenticate(ctx context.Context, address string) (sasl.Session, []byte, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, err
	}
	credentials, err := m.credentials.Retrieve(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("get AWS credentials: %w", err)
	}
	region := cmp.Or(regionOf(host), m.region)
	if region == "" {
		return nil, nil, fmt.Errorf("broker %s: %w", host, awsregion.ErrUnknown)
	}
	first, err := signConnect(ctx, credentials, host, region, m.now())
	return mskSession{}, first, err
}

// signConnect returns the client's message.
func signConnect(ctx context.Context, credentials aws.Credentials, host, region string, at time.Time) ([]byte, error) {
	query := url.Values{"Action": {mskAction}, "X-Amz-Expires": {fmt.Sprint(int(mskExpires.Seconds()))}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "kafka", Host: host, Path: "/", RawQuery: query.Encode()}).String(), nil)
	if err != nil {
		return nil, err
	}
	empty := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, credentials, request, hex.EncodeToString(empty[:]), mskService, region, at)
	if err != nil {
		return nil, fmt.Errorf("sign the login: %w", err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		return nil, fmt.Errorf("sign the login: %w", err)
	}
	// All members in lower case, next to the query's: host, version, agent.
	message := map[string]string{"version": mskVersion, "host": host, "user-agent": mskAgent}
	for name, values := range u.Query() {
		message[strings.ToLower(name)] = values[0]
	}
	return json.Marshal(message)
}

// regionOf takes the region from a name that ends like
// b-1.trips.a1b2c3.c4.kafka.us-east-1.amazonaws.com, "" if it does not.
func regionOf(host string) string {
	for _, suffix := range []string{".amazonaws.com", ".amazonaws.com.cn"} {
		if name, ok := strings.CutSuffix(host, suffix); ok {
			if region := name[strings.LastIndexByte(name, '.')+1:]; regionName.MatchString(region) {
				return region
			}
		}
	}
	return ""
}

type mskSession struct{}

// Challenge takes the broker's answer: {"version":…,"request-id":…}.
func (mskSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) == 0 {
		return false, nil, errors.New("the broker did not confirm the login")
	}
	return true, nil, nil
}
