package elasticsearchio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrClosed is returned for documents that a closed client still held.
var ErrClosed = errors.New("elasticsearch: client is closed")

// The reasons of rejections that have one of their own. Others are the type of
// Elasticsearch's error without its end "_exception".
const (
	// ReasonMapping is a document that the index's mapping does not take.
	ReasonMapping = "mapping"
	// ReasonInvalidIndex is an empty or illegal name.
	ReasonInvalidIndex = "invalid_index"
	// ReasonMissingID is an empty id, ReasonTooLongID one over 512 bytes.
	ReasonMissingID = "missing_id"
	ReasonTooLongID = "too_long_id"
	// ReasonInvalidID, ReasonInvalidRouting are not text; ReasonInvalidVersion
	// is negative.
	ReasonInvalidID      = "invalid_id"
	ReasonInvalidRouting = "invalid_routing"
	ReasonInvalidVersion = "invalid_version"
	// ReasonInvalidJSON is a document that is no JSON object.
	ReasonInvalidJSON = "invalid_json"
	// ReasonTooLarge is a document that is too large for a request by itself.
	ReasonTooLarge = "too_large"
	// ReasonIndexBlocked is a document whose index is read-only (index.blocks.write
	// or .read_only), where Document.IndexVaries.
	ReasonIndexBlocked = "index_blocked"
	// ReasonForbidden is a document that the user may not write.
	ReasonForbidden = "forbidden"
)

// Rejection is a document that was refused for good.
type Rejection struct {
	// Ref is the document's own.
	Ref int
	// Reason is short and in snake_case, one of the constants or the type of
	// Elasticsearch's error.
	Reason string
	// Detail is Elasticsearch's error, with type and reason, or what was seen
	// before it was sent.
	Detail string
}

// rejected makes the rejection of an item from Elasticsearch's error.
func rejected(ref int, r result) Rejection {
	out := Rejection{Ref: ref, Detail: r.kind}
	if r.reason != "" {
		out.Detail = strings.TrimPrefix(r.kind+": "+r.reason, ": ")
	}
	if out.Detail == "" {
		out.Detail = fmt.Sprintf("status %d", r.status)
	}
	switch r.kind {
	case "document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping_exception":
		out.Reason = ReasonMapping
	case "x_content_parse_exception", "json_parse_exception":
		out.Reason = ReasonInvalidJSON
	case "invalid_index_name_exception":
		out.Reason = ReasonInvalidIndex
	case "security_exception":
		out.Reason = ReasonForbidden
	case blockedKind:
		out.Reason = ReasonIndexBlocked
	case "":
		out.Reason = fmt.Sprintf("status_%d", r.status)
	default:
		out.Reason = strings.TrimSuffix(r.kind, "_exception")
	}
	return out
}

// Error is a request that failed for good. It wraps the network's error if
// there is one, for errors.Is and errors.As.
type Error struct {
	// Op says what was being done, e.g. "write 1000 documents".
	Op string
	// Endpoint is the URL that was asked last; empty if none was.
	Endpoint string
	// Status is the HTTP status, or that of the action; 0 if there was none.
	Status int
	// Kind and Reason are Elasticsearch's error, or a gateway's.
	Kind, Reason string
	// Attempts is how often it was tried, Elapsed for how long without progress.
	Attempts int
	Elapsed  time.Duration
	Err      error
	// auth is how the request was authorised.
	auth Auth
	// item says that it is an action's error.
	item bool
}

// Error tells what was being done, where, why it failed and what may help.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Endpoint != "" {
		b.WriteString(" at " + e.Endpoint)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (tried %d times, %s without progress)", e.Attempts, e.Elapsed.Round(time.Millisecond))
	}
	b.WriteString(":")
	if e.Status != 0 && e.Status != http.StatusOK {
		fmt.Fprintf(&b, " %d", e.Status)
		if e.Kind == "" && e.Reason == "" {
			b.WriteString(" " + http.StatusText(e.Status))
		}
	}
	if e.Kind != "" {
		b.WriteString(" " + e.Kind)
	}
	if e.Reason != "" {
		b.WriteString(" " + e.Reason)
	}
	if e.Err != nil {
		b.WriteString(" " + e.Err.Error())
	}
	if h := e.hint(); h != "" {
		b.WriteString(" (" + h + ")")
	}
	return b.String()
}

// Unwrap returns the network's error, nil where the cluster answered.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) hint() string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		dns       *net.DNSError
		noAnswer  net.Error
	)
	switch {
	case isBlocked(e.Kind):
		return "the cluster or the index is blocked: is a disk full, or was it made read-only?"
	case e.Status == http.StatusUnauthorized && e.auth == NoAuth:
		return "the cluster wants authorisation: name a user and a password, an API key, or SIGV4"
	case e.Status == http.StatusUnauthorized:
		return "are the credentials right?"
	case e.Status == http.StatusForbidden && e.auth == SigV4:
		return "may these AWS credentials write here (access policy, IAM), and are region and service right?"
	case e.Status == http.StatusForbidden:
		return "has the user the privileges to write?"
	case e.Status == http.StatusNotFound, e.Status == http.StatusMethodNotAllowed:
		return "is this the address of an Elasticsearch or OpenSearch cluster?"
	case e.Err == nil:
		return ""
	case errors.As(e.Err, &authority):
		return "name the certificate authority's file"
	case errors.As(e.Err, &name):
		return "the certificate is for another name"
	case withoutTLS(e.Err):
		return "no TLS there: is it http instead of https?"
	case errors.As(e.Err, &dns):
		return "is the host's name right?"
	case errors.Is(e.Err, context.DeadlineExceeded), errors.As(e.Err, &noAnswer):
		return "no answer: is the endpoint right, and reachable from here?"
	}
	return ""
}

// withoutTLS tells of an answer that is not TLS.
func withoutTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// misconfigured tells of errors that the other side's return does not mend: its
// certificate is not trusted, it does not speak TLS, there are no credentials.
func misconfigured(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		unsigned    *unsignedError
	)
	return errors.As(err, &certificate) || errors.As(err, &unsigned) || withoutTLS(err)
}

// refusing tells of statuses by which the one who asks is refused.
func refusing(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// class is what a fault of a whole request means for the next step.
type class int

const (
	// permanent faults would come again.
	permanent class = iota
	// transient faults pass by themselves, or by somebody's hand.
	transient
	// tooLarge requests are halved.
	tooLarge
	// malformed requests hold an action that fails them all: it is searched for.
	malformed
)

// classify sorts the faults of whole requests.
func classify(status int, kind, reason string) class {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return tooLarge
	case isBlocked(kind), passing(status):
		return transient
	// Session credentials are renewed: the next attempt has new ones.
	case status == http.StatusForbidden && strings.Contains(strings.ToLower(reason), "token included in the request is expired"):
		return transient
	case status != http.StatusBadRequest, strings.Contains(reason, "unrecognized parameter"):
		return permanent
	}
	switch kind {
	case "action_request_validation_exception", "illegal_argument_exception", "parse_exception", "parsing_exception",
		"x_content_parse_exception", "json_parse_exception", "document_parsing_exception", "mapper_parsing_exception",
		"null_pointer_exception", "number_format_exception":
		return malformed
	}
	return permanent
}

// passes says that a call is worth making again.
func (e *Error) passes() bool {
	return e.Err != nil || classify(e.Status, e.Kind, e.Reason) == transient
}

// passing tells of statuses that mean "again", of requests and of actions.
func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// verdict is what an action's result means for its document.
type verdict int

const (
	done verdict = iota
	again
	refused
	// failing documents may do so by themselves, closed ones have chosen an
	// index that is not to be written; see lane.decide.
	failing
	closed
)

// elsewhere are the kinds of errors that a document is answered with and that
// tell of a node, a shard or the master which is away: Elasticsearch itself
// tries again for a minute on them, and answers with the last one (the
// retries of TransportReplicationAction and TransportMasterNodeAction, with
// TransportActions.isShardNotAvailableException; TransportShardBulkAction for
// a change of the mapping that the master does not make). Their status is 500
// or, of shards, 404.
var elsewhere = map[string]struct{}{
	"node_not_connected_exception": {}, "node_disconnected_exception": {}, "node_closed_exception": {},
	"retry_on_primary_exception": {}, "no_longer_primary_shard_exception": {}, "already_closed_exception": {},
	"shard_not_found_exception": {}, "shard_not_in_primary_mode_exception": {}, "illegal_index_shard_state_exception": {},
	"index_shard_not_started_exception": {}, "index_shard_recovering_exception": {}, "index_shard_relocated_exception": {},
	"index_shard_started_exception": {}, "index_shard_closed_exception": {},
	"not_master_exception": {}, "failed_to_commit_cluster_state_exception": {}, "timeout_exception": {},
	"mapper_exception": {}, // "timed out while waiting for a dynamic mapping update"
}

// isElsewhere tells of an error's kind that it is no document's fault.
func isElsewhere(kind string) bool {
	_, known := elsewhere[kind]
	// transport_exception, and receive_timeout_…, connect_… and so on.
	return known || strings.HasSuffix(kind, "transport_exception")
}

// blockedKind is the kind of error of an index, or a cluster, that is blocked,
// createBlockedKind OpenSearch's where no index may be made, as it sets by itself
// when disks are full.
const (
	blockedKind       = "cluster_block_exception"
	createBlockedKind = "index_create_block_exception"
)

// isBlocked tells of an error's kind that it is that of a block.
func isBlocked(kind string) bool { return kind == blockedKind || kind == createBlockedKind }

// block finds the blocks in Elasticsearch's text, by status and number: "index
// [trips] blocked by: [FORBIDDEN/8/index write (api)];".
var block = regexp.MustCompile(`[A-Z_]+/([0-9]+)/`)

// readOnly tells of blocks of which each is one that somebody has set so that an
// index is not written: index.blocks.read_only (5), index.blocks.write (8).
// That of a full disk (12) and those of the cluster are others.
func readOnly(reason string) bool {
	found := block.FindAllStringSubmatch(reason, -1)
	return len(found) > 0 && !slices.ContainsFunc(found, func(b []string) bool { return b[1] != "5" && b[1] != "8" })
}

// deliberate is the kind of error that a pipeline's processor "fail" makes,
// with the status 500: somebody does not want the document.
const deliberate = "fail_processor_exception"

// judge sorts the results of actions.
func judge(it *item, r result) verdict {
	switch {
	case r.status < 300:
		return done
	case it.op == Delete && r.status == http.StatusNotFound && (r.kind == "" || r.kind == "index_not_found_exception"):
		return done // it is not there, or not even its index
	case r.kind == blockedKind && it.indexVaries && readOnly(r.reason):
		return closed
	case isBlocked(r.kind), isElsewhere(r.kind):
		return again
	case r.status == http.StatusInternalServerError && !it.irreplaceable:
		if r.kind == deliberate {
			return refused
		}
		return failing
	case passing(r.status):
		return again
	case r.status != http.StatusConflict:
		return refused
	case it.op == Create, it.versioned:
		return done // a replay, or a newer version is there
	case r.kind == "version_conflict_engine_exception":
		return again // another writer came between an update's reading and writing
	}
	return refused
}
