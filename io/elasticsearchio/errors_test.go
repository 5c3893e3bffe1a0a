package elasticsearchio

import (
	"testing"
)

func TestResultsAreJudged(t *testing.T) {
	const conflict, missing = "version_conflict_engine_exception", "index_not_found_exception"
	for _, c := range []struct {
		name string
		it   item
		res  result
		want verdict
	}{
		{"created", item{}, result{201, "", ""}, done},
		{"deleted before", item{op: Delete}, result{404, "", ""}, done},
		{"deleted before, with its index", item{op: Delete}, result{404, missing, ""}, done},
		{"no index", item{op: Index}, result{404, missing, ""}, refused},
		{"a newer version is there", item{op: Index, versioned: true}, result{409, conflict, ""}, done},
		{"a newer version was deleted", item{op: Delete, versioned: true}, result{409, conflict, ""}, done},
		{"created before", item{op: Create}, result{409, conflict, ""}, done},
		{"another update at the same time", item{op: Update}, result{409, conflict, ""}, again},
		{"another conflict", item{op: Index}, result{409, "other", ""}, refused},
		{"queue full", item{}, result{429, "es_rejected_execution_exception", ""}, again},
		{"no shard", item{}, result{503, "unavailable_shards_exception", ""}, again},
		{"timeout", item{}, result{408, "", ""}, again},
		{"a pipeline's refusal", item{}, result{500, "fail_processor_exception", ""}, refused},
		{"a pipeline's refusal of what has no other place", item{irreplaceable: true}, result{500, "fail_processor_exception", ""}, again},
		{"a fault of its own, perhaps", item{}, result{500, "illegal_state_exception", ""}, failing},
		{"a fault of what has no other place", item{irreplaceable: true}, result{500, "illegal_state_exception", ""}, again},
		{"a node that is away", item{}, result{500, "node_not_connected_exception", ""}, again},
		{"a request between nodes", item{}, result{500, "receive_timeout_transport_exception", ""}, again},
		{"a shard that moves", item{}, result{404, "index_shard_relocated_exception", ""}, again},
		{"a disk that is full", item{}, result{507, "", ""}, again},
		{"blocked", item{}, result{403, "cluster_block_exception", ""}, again},
		{"no index may be made", item{indexVaries: true}, result{403, "index_create_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];"}, again},
		{"read-only", item{indexVaries: true}, result{403, blockedKind, "index [a] blocked by: [FORBIDDEN/5/index read-only (api), FORBIDDEN/8/index write (api)];"}, closed},
		{"read-only, for all", item{}, result{403, blockedKind, "index [a] blocked by: [FORBIDDEN/8/index write (api)];"}, again},
		{"a full disk", item{indexVaries: true}, result{429, blockedKind, "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"}, again},
		{"a full disk, and read-only", item{indexVaries: true}, result{403, blockedKind, "index [a] blocked by: [FORBIDDEN/8/index write (api), TOO_MANY_REQUESTS/12/disk usage exceeded];"}, again},
		{"a cluster that is read-only", item{indexVaries: true}, result{403, blockedKind, "blocked by: [FORBIDDEN/6/cluster read-only (api)];"}, again},
		{"a block of another text", item{indexVaries: true}, result{403, blockedKind, "blocked"}, again},
		{"not allowed", item{}, result{403, "security_exception", ""}, refused},
		{"mapping", item{}, result{400, "document_parsing_exception", ""}, refused},
	} {
		if got := judge(&c.it, c.res); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRejectionsSayWhy(t *testing.T) {
	for _, c := range []struct {
		res            result
		reason, detail string
	}{
		{result{400, "mapper_parsing_exception", "x"}, ReasonMapping, "mapper_parsing_exception: x"},
		{result{400, "strict_dynamic_mapping_exception", "x"}, ReasonMapping, "strict_dynamic_mapping_exception: x"},
		{result{400, "invalid_index_name_exception", "x"}, ReasonInvalidIndex, "invalid_index_name_exception: x"},
		{result{403, "security_exception", ""}, ReasonForbidden, "security_exception"},
		{result{404, "index_not_found_exception", "x"}, "index_not_found", "index_not_found_exception: x"},
		{result{400, "", "plain"}, "status_400", "plain"},
		{result{400, "", ""}, "status_400", "status 400"},
	} {
		if got := rejected(7, c.res); got != (Rejection{7, c.reason, c.detail}) {
			t.Errorf("%+v: %+v", c.res, got)
		}
	}
}

func TestFaultsAreClassified(t *testing.T) {
	for _, c := range []struct {
		status       int
		kind, reason string
		want         class
	}{
		{413, "", "", tooLarge},
		{429, "", "", transient},
		{500, "", "", transient},
		{403, "cluster_block_exception", "", transient},
		{403, "index_create_block_exception", "", transient},
		{403, "", "The security token included in the request is expired", transient},
		{403, "security_exception", "", permanent},
		{401, "security_exception", "", permanent},
		{400, "action_request_validation_exception", "", malformed},
		{400, "illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [filter_path]", permanent},
		{400, "", "no handler found", permanent},
		{404, "", "", permanent},
		{301, "", "", permanent},
	} {
		if got := classify(c.status, c.kind, c.reason); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
