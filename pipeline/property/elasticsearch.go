package property

import (
	"fmt"
	"strings"
)

// elasticsearchSink lists the properties of the Elasticsearch sink; the names
// of the bulk's limits are the original application's.
func elasticsearchSink() []Property {
	const text = "text with {field}s and variables"
	return []Property{
		{
			Name: "OutputElasticsearchEndpoint", Group: groupElasticsearch, Kind: String, Check: checkURLs, Allowed: allowedURLs,
			Doc: "The URL of an Elasticsearch or OpenSearch cluster; several are used in turn.",
		},
		{
			Name: "ElasticsearchRegion", Group: groupElasticsearch, Kind: String, DefaultOf: "Region", Check: checkRegion, Allowed: allowedRegion,
			Doc: "The region for which requests to Amazon's service are signed, where it is not the application's own.",
		},
		{
			Name: "ElasticsearchAuth", Group: groupElasticsearch, Kind: Enum, Default: "AUTO", Values: []string{"AUTO", "SIGV4", "BASIC", "API_KEY", "NONE"},
			Doc: "How requests are authenticated. AUTO signs for Amazon's hosts (*.es.amazonaws.com, *.aoss.amazonaws.com), uses BASIC if ElasticsearchUsername is set, and nothing otherwise.",
		},
		{
			Name: "ElasticsearchSigningService", Group: groupElasticsearch, Kind: Enum, Default: "AUTO", Values: []string{"AUTO", "ES", "AOSS"},
			Doc: "What requests are signed for: a domain of OpenSearch Service (ES) or a collection of OpenSearch Serverless (AOSS). AUTO goes by the endpoint's name, and takes ES for custom names.",
		},
		{
			Name: "ElasticsearchUsername", Group: groupElasticsearch, Kind: String,
			Doc: "The user name for BASIC.",
		},
		{
			Name: "ElasticsearchPasswordFrom", Group: groupElasticsearch, Kind: String, Check: checkSecretPlace, Allowed: allowedSecretPlace,
			Doc: "Where the workers read the password of BASIC.",
		},
		{
			Name: "ElasticsearchApiKeyFrom", Group: groupElasticsearch, Kind: String, Check: checkSecretPlace, Allowed: allowedSecretPlace,
			Doc: "Where the workers read the key of API_KEY, in its encoded form.",
		},
		{
			Name: "ElasticsearchCaFile", Group: groupElasticsearch, Kind: Path, DefaultNote: "the system's authorities",
			Doc: "The certificate authorities (PEM), on the workers, that the endpoints' certificates are checked against.",
		},
		{
			Name: "ElasticsearchIndex", Group: groupElasticsearch, Kind: Template, Default: "{type}", Allowed: text + ", such as trips-{pickup_datetime:2006.01}",
			Doc: "The index of an event, or its data stream, which needs ElasticsearchOperation=create.",
		},
		{
			Name: "ElasticsearchDocumentId", Group: groupElasticsearch, Kind: Template, Default: "{trip_id}", AllowEmpty: true, Allowed: text,
			Doc: "The id of an event's document: a later event with the same id replaces an earlier one. Empty uses the event's position in its source, so that each event is a document of its own, once.",
		},
		{
			Name: "ElasticsearchVersion", Group: groupElasticsearch, Kind: Template, AllowEmpty: true, DefaultNote: "none", Allowed: "a template of a whole number from 0, or position",
			Doc: "The document's version (external_gte): an event never replaces one with a higher version, whatever is repeated after a restart. position uses the event's place in its shard, which is right if all events of an id come from one shard. Without a version, a restart shows older values for as long as it repeats them, and a bulk request that got no answer and is carried out late leaves them in place until the id's next event.",
		},
		{
			Name: "ElasticsearchRouting", Group: groupElasticsearch, Kind: Template, AllowEmpty: true, DefaultNote: "the id", Allowed: text,
			Doc: "The value by which a document's shard is chosen.",
		},
		{
			Name: "ElasticsearchPipeline", Group: groupElasticsearch, Kind: String, DefaultNote: "the index's own",
			Doc: "The ingest pipeline that documents go through. It cannot be combined with ElasticsearchOperation=update.",
		},
		{
			Name: "ElasticsearchOperation", Group: groupElasticsearch, Kind: Enum, Default: "index", Values: []string{"index", "create", "update"},
			Doc: "index writes or replaces the document; create writes it only if there is none, which data streams need; update merges the event's fields into it, or writes it if there is none.",
		},
		{
			Name: "ElasticsearchDeleteField", Group: groupElasticsearch, Kind: String, DefaultNote: "none",
			Doc: "A field that decides whether an event deletes its document: it does if the value is ElasticsearchDeleteValue.",
		},
		{
			Name: "ElasticsearchDeleteValue", Group: groupElasticsearch, Kind: String, Default: "true",
			Doc: "The value of ElasticsearchDeleteField that deletes, as text.",
		},
		{
			Name: "ElasticsearchDocument", Group: groupElasticsearch, Kind: Enum, Default: "RECEIVED", Values: []string{"RECEIVED", "TYPED"},
			Doc: "RECEIVED sends the event's JSON as it came; TYPED sends the schema's fields, with their types, and times in ISO-8601.",
		},
		{
			Name: "ElasticsearchIndexTemplate", Group: groupElasticsearch, Kind: Path,
			Doc: "The path of a JSON file of index templates, or its text itself if it begins with {, to be put when the job starts: an object with component_templates and index_templates, whose fields are names and bodies as in Elasticsearch's API, and data_streams, a list of names that are created if they do not exist.",
		},
		{
			Name: "ElasticsearchBulkFlushMaxSizeMb", Group: groupElasticsearch, Kind: Megabytes, Default: "5", Min: 1, Max: 100,
			Doc: "The size of a bulk request, before compression, at which it is sent.",
		},
		{
			Name: "ElasticsearchBulkFlushMaxActions", Group: groupElasticsearch, Kind: Int, Default: "1000", Min: 1, Max: 1_000_000,
			Doc: "The number of documents at which a bulk request is sent.",
		},
		{
			Name: "ElasticsearchBulkFlushInterval", Group: groupElasticsearch, Kind: Millis, Default: "1000", Min: 1, Max: 3_600_000,
			Doc: "The age of its first document at which a bulk request is sent. The end of a bundle sends it in any case, so BundleTimeMs limits it too.",
		},
		{
			Name: "ElasticsearchConcurrency", Group: groupElasticsearch, Kind: Int, Default: "4", Min: 1, Max: 64,
			Doc: "How many bulk requests of a worker are in flight at a time.",
		},
		{
			Name: "ElasticsearchDeadLetterIndex", Group: groupElasticsearch, Kind: String, Default: "dead-letters", Check: checkIndex, Allowed: "an index's name",
			Doc: "Where dead letters are written when the job has neither a bucket nor a Kafka topic for them. If it does not exist it is created with a mapping for them, or with the cluster's own where the user may not create it (create_index).",
		},
	}
}

const allowedURLs = "an http or https URL, several separated by commas"

func checkURLs(text string) string {
	for u := range strings.SplitSeq(text, ",") {
		if v := checkURL(strings.TrimSpace(u)); strings.HasPrefix(v.problem, credentialsInURL) {
			return fmt.Sprintf("has %q in it, which %s; they belong in ElasticsearchUsername and ElasticsearchPasswordFrom", maskLogin(u), credentialsInURL)
		} else if v.problem != "" {
			return fmt.Sprintf("has %q in it, which %s", maskLogin(u), v.problem)
		}
	}
	return ""
}

// checkIndex follows the rules of Elasticsearch's create index API.
func checkIndex(name string) string {
	if name != strings.ToLower(name) || len(name) > 255 || strings.ContainsAny(name, `\/*?"<>| ,#:`) || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "+") {
		return "is not an index's name"
	}
	return ""
}
