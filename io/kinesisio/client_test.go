package kinesisio

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestCheckAcceptsAReadableStream(t *testing.T) {
	if err := newStream(t, 2).opts.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckAcceptsABusyStream(t *testing.T) {
	for _, op := range []string{"GetShardIterator", "GetRecords"} {
		s := newFake(t, 1)
		s.fake.FailNext(op, 10, &kinesisfake.Error{Type: "ProvisionedThroughputExceededException"})
		if err := s.opts.Check(t.Context()); err != nil {
			t.Errorf("%s is throttled: %v", op, err)
		}
	}
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	denied := &kinesisfake.Error{Type: "AccessDeniedException", Message: "User: u is not authorized"}
	for name, c := range map[string]struct {
		change func(*stream)
		want   []string
	}{
		"no such stream":  {func(s *stream) { s.opts.Stream = "nowhere" }, []string{"nowhere", "us-east-1", "does the stream exist"}},
		"list denied":     {func(s *stream) { s.fake.FailNext("ListShards", 1, denied) }, []string{"trips", "kinesis:ListShards"}},
		"iterator denied": {func(s *stream) { s.fake.FailNext("GetShardIterator", 1, denied) }, []string{"kinesis:GetShardIterator"}},
		"read denied":     {func(s *stream) { s.fake.FailNext("GetRecords", 1, denied) }, []string{"kinesis:GetRecords"}},
		"bad signature": {func(s *stream) {
			s.fake.FailNext("ListShards", 9, &kinesisfake.Error{Type: "UnrecognizedClientException"})
		}, []string{"credentials"}},
		"key denied": {func(s *stream) {
			s.fake.FailNext("GetRecords", 1, &kinesisfake.Error{Type: "KMSAccessDeniedException"})
		}, []string{"kms:Decrypt"}},
		"nobody listens": {func(s *stream) { s.opts.Endpoint = closedPort(t) }, []string{"127.0.0.1:", "is the endpoint right"}},
		"bad options":    {func(s *stream) { s.opts.InitialPosition = "SOON" }, []string{"SOON"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 1)
			c.change(s)
			err := s.opts.Check(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
		})
	}
	s := newFake(t, 1)
	s.opts.Stream = "nowhere"
	var missing *types.ResourceNotFoundException
	if err := s.opts.Check(t.Context()); !errors.As(err, &missing) {
		t.Errorf("error %v does not keep the service's type", err)
	}
}

func TestTheCertificatesOfTheAWSConfigurationAreTrusted(t *testing.T) {
	fake, err := kinesisfake.NewHandler(kinesisfake.SeedStream("trips", 1))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(fake)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the client that does not trust it
	srv.StartTLS()
	t.Cleanup(srv.Close)
	bareEnvironment(t)
	o := Options{Stream: "trips", Region: "us-east-1", Endpoint: srv.URL, EmulatorCredentials: true}
	if err := o.Check(t.Context()); err == nil {
		t.Error("a server is trusted whose certificate nobody has")
	}
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if err := o.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// bareEnvironment hides the AWS configuration of the machine.
func bareEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestRegion(t *testing.T) {
	for name, c := range map[string]struct {
		o           Options
		environment string
		want        string // empty: refused
	}{
		"of the options":         {Options{Stream: "t", Region: "eu-west-1"}, "us-west-2", "eu-west-1"},
		"of the ARN":             {Options{Stream: "arn:aws:kinesis:eu-north-1:123456789012:stream/t"}, "us-west-2", "eu-north-1"},
		"of the environment":     {Options{Stream: "t"}, "us-west-2", "us-west-2"},
		"nowhere":                {Options{Stream: "t"}, "", ""},
		"nowhere, on a server":   {Options{Stream: "t", Endpoint: "http://127.0.0.1:1"}, "", ""},
		"any will do to emulate": {Options{Stream: "t", Endpoint: "http://127.0.0.1:1", EmulatorCredentials: true}, "", "us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			bareEnvironment(t)
			t.Setenv("AWS_REGION", c.environment)
			client, err := NewClient(t.Context(), c.o)
			if c.want == "" {
				if !errors.Is(err, ErrNoRegion) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := client.Options().Region; got != c.want {
				t.Errorf("region %s, want %s", got, c.want)
			}
		})
	}
}

func TestMissingCredentialsAreTold(t *testing.T) {
	s := newFake(t, 1)
	bareEnvironment(t)
	s.opts.EmulatorCredentials = false
	err := s.opts.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "are there AWS credentials") {
		t.Errorf("error %v", err)
	}
}
