package stack

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/constructs-go/constructs/v10"
)

// What a setting of several choices can be.
const (
	None      = "none"
	New       = "new"
	Existing  = "existing"
	NAT       = "nat"
	Endpoints = "endpoints"
)

// Settings say which parts there are. The zero value is not of use: take
// Default.
type Settings struct {
	// Properties are the job's own, by name. What they name is taken as it is
	// and not made; without a source the stack makes a stream, without a sink a
	// bucket.
	Properties map[string]string
	// Jar is the path of the job's jar on this machine, which the CDK uploads.
	// Empty: the parameters JarBucket, JarKey and JarVersion name it.
	Jar string
	// Bucket is New for a bucket of the stack's own. Default: New where the
	// properties name no output, None otherwise.
	Bucket string
	// ReplayHost makes an instance that can replay events into the stream.
	ReplayHost bool

	// Network is None, New for a VPC of the stack's own, or Existing.
	Network string
	// Egress is how a new VPC's private subnets reach the services: NAT, for
	// everything outside, or Endpoints, for the services that the job uses.
	Egress string
	// VpcID, SubnetIDs (private ones, in different zones), Zones (of those
	// subnets) and RouteTableIDs (theirs, for peering) name an existing network.
	VpcID                           string
	SubnetIDs, Zones, RouteTableIDs []string
	// PeerVpcID and PeerCIDR make a peering to another VPC and routes to it,
	// where brokers or a search domain are. PeerAccount and PeerRegion are its
	// owner and region; empty: the stack's. PeerRoleArn is a role of another
	// account by which CloudFormation accepts the peering there.
	PeerVpcID, PeerCIDR, PeerAccount, PeerRegion, PeerRoleArn string

	// Kafka is None, or New for an MSK cluster with IAM.
	Kafka string
	// InputClusterArn and OutputClusterArn are existing MSK clusters that the
	// properties read from and write to with AWS_MSK_IAM.
	InputClusterArn, OutputClusterArn string
	// Search is None, or New for an OpenSearch domain.
	Search string
	// SearchArn is an existing domain or collection; empty: found in the
	// endpoint's name.
	SearchArn string
	// BucketKeyArn is the KMS key of an existing bucket, if it has one.
	BucketKeyArn string
	// InputKeyArns and OutputKeyArn are the KMS keys of existing streams that
	// are read and written, of those that have one of the customer's own.
	InputKeyArns []string
	OutputKeyArn string
	// ReplayBucket and ReplayPrefix are where the events for the replay are,
	// ReplayRegion the bucket's region.
	ReplayBucket, ReplayPrefix, ReplayRegion string
}

// Default returns the settings of the original application: a stream, a bucket,
// no network of the job's own, and a replay host that reads the public taxi
// trips of 2018.
func Default() Settings {
	return Settings{
		Properties: map[string]string{}, ReplayHost: true,
		Network: None, Egress: NAT, Kafka: None, Search: None,
		ReplayBucket: "aws-bigdata-blog", ReplayRegion: "us-east-1",
		ReplayPrefix: "artifacts/kinesis-analytics-taxi-consumer/taxi-trips-partitioned.json.lz4/dropoff_year=2018/",
	}
}

// FromContext reads the settings from the CDK's context. A key is a setting's
// name with a small first letter (network, vpcId, …), the name of one of the
// job's properties, or properties, the path of a file with them in the
// service's format. Lists are separated by commas. All mistakes are in the
// error.
func FromContext(node constructs.Node) (Settings, error) {
	given := map[string]string{}
	var faults []error
	all, _ := node.GetAllContext(nil).(map[string]any)
	for name, value := range all {
		if strings.ContainsAny(name, ":/") { // the CDK's own
			continue
		}
		switch v := value.(type) {
		case string:
			given[name] = v
		case bool:
			given[name] = strconv.FormatBool(v)
		case float64: // without an exponent, which the job does not read
			given[name] = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			faults = append(faults, fmt.Errorf("context %s: is neither text nor a number nor true or false", name))
		}
	}
	s, err := fromMap(given)
	return s, errors.Join(append(faults, err)...)
}

// fromMap reads the settings from context values as texts.
func fromMap(given map[string]string) (Settings, error) {
	s := Default()
	var faults []error
	texts := map[string]*string{
		"jar": &s.Jar, "network": &s.Network, "egress": &s.Egress, "vpcId": &s.VpcID,
		"peerVpcId": &s.PeerVpcID, "peerCidr": &s.PeerCIDR, "peerAccount": &s.PeerAccount, "peerRegion": &s.PeerRegion, "peerRoleArn": &s.PeerRoleArn,
		"bucket": &s.Bucket, "kafka": &s.Kafka, "inputClusterArn": &s.InputClusterArn, "outputClusterArn": &s.OutputClusterArn,
		"search": &s.Search, "searchArn": &s.SearchArn, "bucketKeyArn": &s.BucketKeyArn, "outputKeyArn": &s.OutputKeyArn,
		"replayBucket": &s.ReplayBucket, "replayPrefix": &s.ReplayPrefix, "replayRegion": &s.ReplayRegion,
	}
	lists := map[string]*[]string{"subnetIds": &s.SubnetIDs, "zones": &s.Zones, "routeTableIds": &s.RouteTableIDs, "inputKeyArns": &s.InputKeyArns}
	if path, ok := given["properties"]; ok {
		read, err := readProperties(path)
		if err != nil {
			faults = append(faults, err)
		}
		maps.Copy(s.Properties, read)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		text, isText := texts[name]
		list, isList := lists[name]
		switch {
		case isText:
			*text = value
		case isList:
			*list = split(value)
		case name == "properties":
		case name == "replayHost":
			if value != "true" && value != "false" {
				faults = append(faults, fmt.Errorf("context replayHost: %q is neither true nor false", value))
			}
			s.ReplayHost = value == "true"
		case isProperty(name):
			s.Properties[name] = value
		default:
			faults = append(faults, fmt.Errorf("context %s: is neither a setting nor a property of the job", name))
		}
	}
	return s, errors.Join(append(faults, s.Validate())...)
}

// Validate returns all that is wrong with the settings.
func (s Settings) Validate() error {
	var faults []error
	fault := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	oneOf := func(name, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			fault("%s: %q is not one of %s", name, value, strings.Join(allowed, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if err := checkProperty(name, s.Properties[name]); err != nil {
			faults = append(faults, err)
		}
	}
	if _, err := s.checkpoints(); err != nil {
		faults = append(faults, err)
	}
	oneOf("network", s.Network, None, New, Existing)
	oneOf("egress", s.Egress, NAT, Endpoints)
	oneOf("bucket", s.Bucket, "", None, New)
	oneOf("kafka", s.Kafka, None, New)
	oneOf("search", s.Search, None, New)

	if s.Network == Existing {
		if s.VpcID == "" || len(s.SubnetIDs) == 0 {
			fault("network: an existing one needs vpcId and subnetIds")
		}
		if len(s.Zones) != len(s.SubnetIDs) {
			fault("zones: there must be one for each of subnetIds")
		}
		if s.Kafka == New && (len(s.SubnetIDs) < 2 || len(s.SubnetIDs) > 3) {
			fault("kafka: brokers need two or three subnets in different zones")
		}
	} else if s.VpcID != "" || len(s.SubnetIDs)+len(s.Zones)+len(s.RouteTableIDs) > 0 {
		fault("vpcId, subnetIds, zones and routeTableIds are for network=%s", Existing)
	}
	if s.Network == None && (s.Kafka == New || s.Search == New) {
		fault("kafka and search: they are made in a network: set network=%s or %s", New, Existing)
	}
	switch {
	case (s.PeerVpcID == "") != (s.PeerCIDR == ""):
		fault("peerVpcId and peerCidr belong together")
	case s.PeerVpcID == "" && (s.PeerAccount != "" || s.PeerRegion != "" || s.PeerRoleArn != ""):
		fault("peerAccount, peerRegion and peerRoleArn are for a peerVpcId")
	case (s.PeerAccount == "") != (s.PeerRoleArn == ""):
		fault("peerAccount and peerRoleArn belong together: by the role CloudFormation accepts the peering there")
	case s.PeerVpcID != "" && s.Network == None:
		fault("peerVpcId: a peering needs a network")
	case s.PeerVpcID != "" && s.Network == Existing && len(s.RouteTableIDs) == 0:
		fault("peerVpcId: routes to it need the routeTableIds of the existing subnets")
	}
	if s.PeerCIDR != "" {
		if _, err := netip.ParsePrefix(s.PeerCIDR); err != nil {
			fault("peerCidr: %w", err)
		}
	}
	s.checkSource(fault)
	s.checkSinks(fault)
	s.checkOwnBrokers(fault)
	for name, arn := range map[string]string{"inputClusterArn": s.InputClusterArn, "outputClusterArn": s.OutputClusterArn} {
		if arn != "" && !clusterARN.MatchString(arn) {
			fault("%s: %q is not the ARN of an MSK cluster", name, arn)
		}
	}
	return errors.Join(faults...)
}

var clusterARN = regexp.MustCompile(`^arn:aws[a-z-]*:kafka:[a-z0-9-]+:\d{12}:cluster/[^/]+/[^/]+$`)

func (s Settings) checkSource(fault func(string, ...any)) {
	if named := s.sources(); len(named) > 1 {
		fault("%s: a job has one source", strings.Join(named, " and "))
	}
	brokers, topic := s.Properties["InputKafkaBootstrapServers"], s.Properties["InputKafkaTopic"]
	switch {
	case brokers != "" && topic == "":
		fault("InputKafkaBootstrapServers: InputKafkaTopic is missing")
	case topic != "" && brokers == "" && s.Kafka != New:
		fault("InputKafkaTopic: InputKafkaBootstrapServers is missing (or kafka=%s, which makes brokers)", New)
	case brokers != "" && usesIAM(s.property, "") && s.InputClusterArn == "":
		fault("InputKafkaBootstrapServers: AWS_MSK_IAM needs inputClusterArn, which the role's permissions name")
	}
}

func (s Settings) checkSinks(fault func(string, ...any)) {
	if s.Bucket == New && s.Properties["OutputBucket"] != "" {
		fault("OutputBucket: bucket=%s makes its own", New)
	}
	sinks := s.namedSinks()
	if s.makesBucket() {
		sinks = append(sinks, "OutputBucket")
	}
	switch {
	case s.discards() && len(sinks) > 0:
		fault("OutputDiscarding: drops all events, but %s is named too", sinks[0])
	case !s.discards() && len(sinks) == 0:
		fault("OutputBucket: no sink is named")
	case slices.Equal(sinks, []string{"OutputKinesisStream"}) && s.Properties["DeadLetterBucket"] == "":
		fault("DeadLetterBucket: is missing: events that a stream does not take must have a place (or bucket=%s, for them and the job's files)", New)
	}
	brokers, topic := s.Properties["OutputKafkaBootstrapServers"], s.Properties["OutputKafkaTopic"]
	switch {
	case brokers != "" && topic == "":
		fault("OutputKafkaBootstrapServers: OutputKafkaTopic is missing")
	case topic != "" && brokers == "" && s.Kafka != New:
		fault("OutputKafkaTopic: OutputKafkaBootstrapServers is missing (or kafka=%s, which makes brokers)", New)
	case brokers != "" && usesIAM(s.property, "Output") && s.OutputClusterArn == "":
		fault("OutputKafkaBootstrapServers: AWS_MSK_IAM needs outputClusterArn, which the role's permissions name")
	}
	endpoint := s.Properties["OutputElasticsearchEndpoint"]
	switch {
	case endpoint != "" && s.Search == New:
		fault("OutputElasticsearchEndpoint: search=%s makes its own", New)
	case endpoint != "" && signed(s.Properties) && s.SearchArn == "" && searchDomain(endpoint) == nil:
		fault("OutputElasticsearchEndpoint: no domain's name can be found in %s: set searchArn", endpoint)
	}
}

func (s Settings) property(name string) string { return s.Properties[name] }

// usesIAM tells whether a connection to brokers logs in with AWS_MSK_IAM; side
// is "Output" for the sink's, which takes of the source's login what fits its
// own protocol (kafkaLogin in pipeline/config_kafka_login.go). get returns a
// property's value.
func usesIAM(get func(name string) string, side string) bool {
	mechanism := get(side + "KafkaSaslMechanism")
	if protocol := get(side + "KafkaSecurityProtocol"); mechanism == "" && (protocol == "" || strings.HasPrefix(protocol, "SASL_")) {
		mechanism = get("KafkaSaslMechanism")
	}
	return mechanism == "AWS_MSK_IAM"
}

// checkOwnBrokers refuses what contradicts the one login and the one cluster of
// the stack's brokers.
func (s Settings) checkOwnBrokers(fault func(string, ...any)) {
	login := func(side string) {
		for _, name := range slices.Sorted(maps.Keys(ownLogin)) {
			if given := s.Properties[side+name]; given != "" && given != ownLogin[name] {
				fault("%s: the stack's brokers take %s, not %s", side+name, ownLogin[name], given)
			}
		}
	}
	if s.ownBrokers("Input") {
		login("")
		if s.InputClusterArn != "" {
			fault("inputClusterArn: InputKafkaTopic is read from the stack's own cluster: give InputKafkaBootstrapServers for another")
		}
	}
	if s.ownBrokers("Output") {
		login("Output")
		if s.OutputClusterArn != "" {
			fault("outputClusterArn: OutputKafkaTopic is written to the stack's own cluster: give OutputKafkaBootstrapServers for another")
		}
		if s.Properties["InputKafkaBootstrapServers"] != "" && s.Properties["KafkaRoleArn"] != "" && s.Properties["OutputKafkaRoleArn"] == "" {
			fault("OutputKafkaRoleArn: is missing: the job would take KafkaRoleArn at the stack's brokers too")
		}
	}
}

// ownBrokers tells whether the job's side, "Input" or "Output", is connected to
// the brokers that the stack makes.
func (s Settings) ownBrokers(side string) bool {
	return s.Kafka == New && s.Properties[side+"KafkaTopic"] != "" && s.Properties[side+"KafkaBootstrapServers"] == ""
}

// sources returns the properties that name what the job reads.
func (s Settings) sources() []string {
	var named []string
	for _, source := range []string{"InputKinesisStream", "InputKafkaTopic"} {
		if s.Properties[source] != "" {
			named = append(named, source)
		}
	}
	const made = "InputGeneratedRecords"
	if strings.Trim(s.Properties[made], "0") != "" { // 0 makes none
		named = append(named, made)
	}
	return named
}

// makesStream tells whether the stack makes the stream that the job reads.
func (s Settings) makesStream() bool { return len(s.sources()) == 0 }

// namedSinks returns the properties that name where the job writes to, but for
// a bucket of the stack's own.
func (s Settings) namedSinks() []string {
	var named []string
	for _, sink := range []string{"OutputBucket", "OutputKafkaTopic", "OutputElasticsearchEndpoint", "OutputKinesisStream"} {
		if s.Properties[sink] != "" || sink == "OutputElasticsearchEndpoint" && s.Search == New {
			named = append(named, sink)
		}
	}
	return named
}

// discards tells whether the job drops what it reads.
func (s Settings) discards() bool { return strings.EqualFold(s.Properties["OutputDiscarding"], "true") }

// makesBucket tells whether the stack makes the bucket that the job writes to.
func (s Settings) makesBucket() bool {
	if s.Bucket != "" {
		return s.Bucket == New
	}
	return len(s.namedSinks()) == 0 && !s.discards()
}

// split cuts a list at its commas.
func split(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
