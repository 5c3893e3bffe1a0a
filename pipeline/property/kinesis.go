package property

import "strings"

// checkStreams takes one or several streams.
func checkStreams(text string) string {
	for one := range strings.SplitSeq(text, ",") {
		if problem := checkStream(strings.TrimSpace(one)); problem != "" {
			return problem
		}
	}
	return ""
}

// checkConsumer takes a name; what begins like an ARN is checked against the stream.
func checkConsumer(text string) string {
	if !strings.HasPrefix(text, "arn:") && (len(text) > 128 || !only(text, nameLetters)) {
		return "is not a consumer's name"
	}
	return ""
}

func checkFieldName(text string) string {
	if len(text) > 128 || !only(text, strings.TrimSuffix(nameLetters, ".-")) {
		return "is not a field's name"
	}
	return ""
}

// kinesisSink lists the properties of the Kinesis sink.
func kinesisSink() []Property {
	return []Property{
		{
			Name: "OutputKinesisStream", Group: groupKinesisSink, Kind: String, Check: checkStream, Allowed: "a stream's name (1 to 128 of a-z A-Z 0-9 _ . -) or its ARN",
			Doc: "The Kinesis stream to write to. Delivery is at least once: after a restart, what was written since the last checkpoint is written again.",
		},
		{
			Name: "OutputStreamRegion", Group: groupKinesisSink, Kind: String, DefaultOf: "Region", Check: checkRegion, Allowed: allowedRegion,
			Doc: "The region of the output stream, where it is not the application's own; an ARN brings its own.",
		},
		{
			Name: "OutputStreamEndpoint", Group: groupKinesisSink, Kind: URL, DefaultNote: "AWS",
			Doc: "The URL of the Kinesis service to write to.",
		},
		{
			Name: "OutputRoleArn", Group: groupKinesisSink, Kind: String, Check: checkRole, Allowed: allowedRole,
			Doc: "A role to assume for writing to the output stream.",
		},
		{
			Name: "OutputKinesisPartitionKey", Group: groupKinesisSink, Kind: Template, Default: "{trip_id}", Allowed: "text with {field}s and variables",
			Doc: "The template of a record's partition key, which decides its shard; records with the same key keep their order.",
		},
		{
			Name: "OutputKinesisExplicitHashKey", Group: groupKinesisSink, Kind: Template, AllowEmpty: true, DefaultNote: "none", Allowed: "a template of a whole number below 2^128",
			Doc: "The template of the hash key that decides a record's shard in place of its partition key.",
		},
		{
			Name: "OutputKinesisPositionField", Group: groupKinesisSink, Kind: String, DefaultNote: "none", Check: checkFieldName, Allowed: "a name of letters, digits and _",
			Doc: "Adds a field of this name to each event, with its position in the source: the same whenever the event is written again, so that readers can recognise duplicates. The schema must not have such a field.",
		},
		{
			Name: "OutputKinesisMaxRecordMb", Group: groupKinesisSink, Kind: Megabytes, Default: "1", Min: 1, Max: 10,
			Doc: "The largest record that the stream is set up to take, partition key included; a larger event becomes a dead letter.",
		},
		{
			Name: "OutputKinesisAggregation", Group: groupKinesisSink, Kind: Bool, Default: "false",
			Doc: "Packs many events into a record, as the Kinesis Producer Library does: the way past 1,000 events a second per shard. Readers must unpack them, as the client libraries and this application do.",
		},
	}
}
