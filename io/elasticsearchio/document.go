package elasticsearchio

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// Op is what is done with a document.
type Op uint8

const (
	// Index puts a document in the place of what is there under its id.
	Index Op = iota
	// Create puts a document unless there is one under its id; then it is
	// done already. The only operation that data streams take.
	Create
	// Update puts the members of Source into the document of this id, and is
	// Create where there is none (doc_as_upsert).
	Update
	// Delete removes a document; one that is not there is removed already.
	Delete
)

// String returns the operation's name in the bulk API.
func (o Op) String() string {
	switch o {
	case Index:
		return "index"
	case Create:
		return "create"
	case Update:
		return "update"
	case Delete:
		return "delete"
	}
	return "op " + strconv.Itoa(int(o))
}

// maxID is Elasticsearch's limit for an id, in bytes.
const maxID = 512

// Document is one action of a bulk request. Bulk.Add copies what it needs.
type Document struct {
	Op Op
	// Index is an index, an alias or a data stream.
	Index []byte
	// ID is required: without it a replay would double the document.
	ID []byte
	// Routing chooses the shard in ID's place; empty for none. Documents of
	// one id need the same routing, or they are different documents.
	Routing []byte
	// Pipeline is an ingest pipeline; empty for the index's own. Not for Delete,
	// nor for Update, whose pipeline Elasticsearch leaves unused: it is one of an
	// "upsert" document, and with doc_as_upsert there is none.
	Pipeline []byte
	// Version is an external one (external_gte): the cluster keeps the
	// document with the highest, so that an older one never overwrites a
	// newer one, and such a conflict counts as done. 0 is none, unless
	// Versioned says that it is one. Index and Delete take versions;
	// Elasticsearch has none for Create and Update. Versions of deleted
	// documents are remembered for a minute only (index.gc_deletes).
	Version   int64
	Versioned bool
	// IndexVaries says that what is in the document has chosen Index, so that
	// others go elsewhere: where somebody has made the index read-only, the
	// document is refused after Options.ItemDeadline. Else it waits for as long
	// as that lasts.
	IndexVaries bool
	// Irreplaceable says that nobody keeps the document where it is refused: a
	// fault of the cluster (500) is then waited out as an outage is, however
	// many others are written meanwhile.
	Irreplaceable bool
	// Source is the document as a JSON object; nil for Delete.
	Source []byte
	// Ref is the caller's name for the document; a Rejection has it.
	Ref int
}

// Refusal returns why a document cannot be sent, as a Rejection's reason and
// detail, or "": what Elasticsearch would fail a whole request for, or, in the
// case of an empty id, would name by chance.
func (d *Document) Refusal() (reason, detail string) {
	switch {
	case len(d.Index) == 0:
		return ReasonInvalidIndex, "the name of the index is empty"
	case !utf8.Valid(d.Index):
		return ReasonInvalidIndex, "the name of the index is not UTF-8 text"
	case d.Index[0] == '<':
		return ReasonInvalidIndex, "the name of the index begins with '<': it would be worked out as a date"
	case len(d.ID) == 0:
		return ReasonMissingID, "the id is empty"
	case len(d.ID) > maxID:
		return ReasonTooLongID, fmt.Sprintf("the id has %d bytes, the most is %d", len(d.ID), maxID)
	case !utf8.Valid(d.ID):
		return ReasonInvalidID, "the id is not UTF-8 text"
	case !utf8.Valid(d.Routing):
		return ReasonInvalidRouting, "the routing is not UTF-8 text"
	case d.Version < 0:
		return ReasonInvalidVersion, fmt.Sprintf("the version %d is negative", d.Version)
	case d.Op == Delete:
		return "", ""
	case len(d.Source) == 0:
		return ReasonInvalidJSON, "the document is empty"
	}
	// An update's source stands inside the request's own JSON, and line ends
	// separate its actions: there a fault would not stay the document's own.
	if (d.Op == Update || bytes.IndexByte(d.Source, '\n') >= 0) && !validObject(d.Source) {
		return ReasonInvalidJSON, "the document is not a JSON object"
	}
	return "", ""
}

// misuse returns an error for what a caller should not ask, whatever the data.
func (d *Document) misuse() error {
	switch {
	case d.Op > Delete:
		return fmt.Errorf("elasticsearch: unknown operation %d", d.Op)
	case d.versioned() && (d.Op == Create || d.Op == Update):
		return fmt.Errorf("elasticsearch: the operation %s has no versions", d.Op)
	case len(d.Pipeline) > 0 && d.Op == Update:
		return fmt.Errorf("elasticsearch: the operation %s goes through no pipeline", d.Op)
	case !utf8.Valid(d.Pipeline):
		return fmt.Errorf("elasticsearch: the pipeline's name %q is not UTF-8 text", d.Pipeline)
	}
	return nil
}

func (d *Document) versioned() bool { return d.Versioned || d.Version != 0 }

func validObject(source []byte) bool {
	source = bytes.TrimLeft(source, " \t\r\n")
	return len(source) > 0 && source[0] == '{' && jx.Valid(source) && utf8.Valid(source)
}

// overhead is the room that an action takes around its strings and its
// source, at most; escapes come on top.
const overhead = 192

// size is about what the document takes in a request.
func (d *Document) size() int {
	return overhead + len(d.Index) + len(d.ID) + len(d.Routing) + len(d.Pipeline) + len(d.Source)
}

// appendAction writes the document's lines of a bulk request. key is where the
// index and the id stand in them: equal bytes are the same document.
func appendAction(dst []byte, d *Document) (_ []byte, keyStart, keyEnd int) {
	switch d.Op {
	case Index:
		dst = append(dst, `{"index":{`...)
	case Create:
		dst = append(dst, `{"create":{`...)
	case Update:
		dst = append(dst, `{"update":{"retry_on_conflict":3,`...)
	case Delete:
		dst = append(dst, `{"delete":{`...)
	}
	keyStart = len(dst)
	dst = appendString(append(dst, `"_index":`...), d.Index)
	dst = appendString(append(dst, `,"_id":`...), d.ID)
	keyEnd = len(dst)
	if len(d.Routing) > 0 {
		dst = appendString(append(dst, `,"routing":`...), d.Routing)
	}
	if d.versioned() {
		dst = strconv.AppendInt(append(dst, `,"version":`...), d.Version, 10)
		dst = append(dst, `,"version_type":"external_gte"`...)
	}
	if len(d.Pipeline) > 0 && d.Op != Delete {
		dst = appendString(append(dst, `,"pipeline":`...), d.Pipeline)
	}
	dst = append(dst, "}}\n"...)
	switch d.Op {
	case Delete:
		return dst, keyStart, keyEnd
	case Update:
		dst = appendLine(append(dst, `{"doc":`...), d.Source)
		dst = append(dst, `,"doc_as_upsert":true}`...)
	default:
		dst = appendLine(dst, d.Source)
	}
	return append(dst, '\n'), keyStart, keyEnd
}

// appendLine writes valid JSON in one line: line ends in it are white space.
func appendLine(dst, source []byte) []byte {
	start := len(dst)
	dst = append(dst, source...)
	for rest := dst[start:]; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return dst
		}
		rest[i] = ' '
		rest = rest[i+1:]
	}
}

const hexDigits = "0123456789abcdef"

// appendString writes UTF-8 text as a JSON string.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i, b := range text {
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, text[start:i]...)
		start = i + 1
		if b >= ' ' {
			dst = append(dst, '\\', b)
			continue
		}
		dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
	}
	return append(append(dst, text[start:]...), '"')
}
