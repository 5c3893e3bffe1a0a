package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/encode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// ElasticsearchSink says what becomes of events as documents. It is data only.
type ElasticsearchSink struct {
	Client elasticsearchio.Options
	// Index, ID, Version and Routing are templates; all but Index may be empty.
	Index, ID, Version, Routing string
	Pipeline                    string
	Operation                   string
	// DeleteField and DeleteValue name the events that delete; see the properties.
	DeleteField, DeleteValue string
	// Typed writes the schema's fields instead of what was received.
	Typed bool
	// DeadLetterIndex takes dead letters where it is not empty.
	DeadLetterIndex string
	// IndexTemplate is the text of the index templates to put at start.
	IndexTemplate string
}

// keptLetter is a dead letter of the bundle, and how it was last put: the most
// bytes it was to have and those it had, and whether the payload was in base64.
type keptLetter struct {
	deadletter.Letter
	limit, size int
	base64      bool
}

// letterRef names the bundle's dead letters, which are no records; it is its
// own inverse.
func letterRef(n int) int { return -1 - n }

// documents is the Elasticsearch sink.
type documents struct {
	sink    ElasticsearchSink
	client  *elasticsearchio.Client
	ctx     context.Context
	bulk    *elasticsearchio.Bulk
	err     error
	records bundleRecords
	letters []keptLetter
	doc     elasticsearchio.Document
	// letterIndex is the process's.
	letterIndex *letterIndex
	op          elasticsearchio.Op
	templates   []*template.Template
	// index and the rest are nil where there is no template.
	index, id, version, routing *template.Template
	// templated says that the index is a template, varies that it may be another
	// for another event.
	templated, varies bool
	// own are the names of the job's own indices.
	own []string
	// position says that the version is the event's offset.
	position bool
	// remove is the field whose value deletes, or nil.
	remove *template.Template

	indexText, idText, versionText, routingText, removeText, body []byte
	encoder                                                       *encode.Encoder
}

// newDocuments compiles the sink's templates.
func newDocuments(c ElasticsearchSink, schema *event.Schema, source route.Source) (*documents, error) {
	d := &documents{sink: c, templated: strings.Contains(c.Index, "{"), own: ownNames(c.DeadLetterIndex)}
	compile := func(name, text string) (*template.Template, error) {
		if text == "" {
			return nil, nil
		}
		t, err := template.Compile(text, schema, source.Variables()...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		d.templates = append(d.templates, t)
		return t, nil
	}
	var err error
	if d.index, err = compile("index", c.Index); err != nil {
		return nil, err
	}
	d.varies = len(d.index.Fields()) > 0 || slices.ContainsFunc(source.Variables(), func(v string) bool {
		return v != route.JobStart && d.index.Uses(v)
	})
	id := c.ID
	if id == "" {
		id = "{" + route.Position + "}"
	}
	if d.id, err = compile("document id", id); err != nil {
		return nil, err
	}
	if d.position = c.Version == route.Position; !d.position {
		if d.version, err = compile("version", c.Version); err != nil {
			return nil, err
		}
	}
	if d.routing, err = compile("routing", c.Routing); err != nil {
		return nil, err
	}
	if c.DeleteField != "" {
		if d.remove, err = compile("delete field", "{"+c.DeleteField+"}"); err != nil {
			return nil, err
		}
	}
	switch c.Operation {
	case "create":
		d.op = elasticsearchio.Create
	case "update":
		d.op = elasticsearchio.Update
	default:
		d.op = elasticsearchio.Index
	}
	if c.Typed {
		d.encoder = encode.New(schema)
	}
	return d, nil
}

func (d *documents) Name() string                    { return elasticsearchName }
func (d *documents) Templates() []*template.Template { return d.templates }
func (d *documents) TakesTombstones() bool           { return false }

func (d *documents) start(ctx context.Context) {
	d.ctx, d.bulk, d.err = ctx, d.client.NewBulk(), nil
	d.records.reset()
	clear(d.letters)
	d.letters = d.letters[:0]
}

// Add adds the event's document to the bulk; it waits while the client is full.
func (d *documents) Add(b *batch.Batch, i int, row event.Row, vars []string) error {
	if err := d.fill(b, i, row, vars); err != nil {
		return err
	}
	d.doc.Ref = d.records.add(b, i)
	d.failed(d.bulk.Add(d.ctx, &d.doc))
	return nil
}

// refuses returns why the event can be no document, as far as the cluster is
// not needed to tell.
func (d *documents) refuses(b *batch.Batch, i int, row event.Row, vars []string) error {
	if err := d.fill(b, i, row, vars); err != nil {
		return err
	}
	return refusal(d.doc.Refusal())
}

// fill makes the event's document in d.doc.
func (d *documents) fill(b *batch.Batch, i int, row event.Row, vars []string) (err error) {
	doc := &d.doc
	*doc = elasticsearchio.Document{Op: d.op, IndexVaries: d.varies}
	if d.indexText, err = d.index.Append(d.indexText[:0], row, vars); err != nil {
		return err
	}
	if err := d.reserved(d.indexText); err != nil {
		return err
	}
	if d.idText, err = d.id.Append(d.idText[:0], row, vars); err != nil {
		return err
	}
	doc.Index, doc.ID = d.indexText, d.idText
	if d.routing != nil {
		if d.routingText, err = d.routing.Append(d.routingText[:0], row, vars); err != nil {
			return err
		}
		doc.Routing = d.routingText
	}
	if doc.Version, doc.Versioned, err = d.versionOf(b, i, row, vars); err != nil {
		return err
	}
	if d.remove != nil {
		if d.removeText, err = d.remove.Append(d.removeText[:0], row, vars); err == nil && string(d.removeText) == d.sink.DeleteValue {
			doc.Op = elasticsearchio.Delete
		}
	}
	if doc.Op != elasticsearchio.Delete {
		doc.Pipeline = []byte(d.sink.Pipeline)
		doc.Source = b.Payload(i)
		if d.encoder != nil {
			d.body = d.encoder.Append(d.body[:0], row)
			doc.Source = d.body
		}
	}
	return nil
}

// reserved refuses indices that an event may not name: the job's own, in which
// who writes events would write the record of what was sent again, and those of
// the cluster, which begin with a dot, unless the template's own text does.
func (d *documents) reserved(index []byte) error {
	if !d.templated {
		return nil // the user's choice, not an event's
	}
	if len(index) > 0 && index[0] == '.' && d.sink.Index[0] != '.' {
		return &route.Refusal{Reason: elasticsearchio.ReasonInvalidIndex, Detail: fmt.Sprintf("%.255q: indices that begin with a dot are the cluster's own", index)}
	}
	if slices.Contains(d.own, string(index)) {
		return &route.Refusal{Reason: elasticsearchio.ReasonInvalidIndex, Detail: fmt.Sprintf("%q: the index is the job's own", index)}
	}
	return nil
}

// failed keeps the first error of the bundle for flush: it is no record's.
func (d *documents) failed(err error) {
	if d.err == nil {
		d.err = err
	}
}

// versionOf returns the document's version, if it has one.
func (d *documents) versionOf(b *batch.Batch, i int, row event.Row, vars []string) (v int64, versioned bool, err error) {
	switch {
	case d.position:
		// From 1, as documents have it that were written before.
		return b.Base + int64(b.Records[i].Seq) + 1, true, nil
	case d.version == nil:
		return 0, false, nil
	}
	if d.versionText, err = d.version.Append(d.versionText[:0], row, vars); err != nil {
		return 0, false, err
	}
	v, err = strconv.ParseInt(string(d.versionText), 10, 64)
	if err != nil || v < 0 {
		return 0, false, &route.Refusal{Reason: elasticsearchio.ReasonInvalidVersion, Detail: fmt.Sprintf("%.50q is no whole number from 0", d.versionText)}
	}
	return v, true, nil
}

// letter adds a dead letter as a document.
func (d *documents) letter(ctx context.Context, l *deadletter.Letter) {
	d.failed(d.letterIndex.open(ctx, d.client, d.sink.DeadLetterIndex))
	d.letters = append(d.letters, keptLetter{Letter: *l, limit: math.MaxInt})
	d.putLetter(ctx, len(d.letters)-1)
}

// putLetter adds the bundle's n-th dead letter.
func (d *documents) putLetter(ctx context.Context, n int) {
	l := &d.letters[n]
	if l.base64 {
		d.body = l.AppendShortBase64(d.body[:0], l.limit)
	} else {
		d.body = l.AppendShort(d.body[:0], l.limit)
	}
	l.size = len(d.body)
	d.failed(d.bulk.Add(ctx, &elasticsearchio.Document{
		Op: elasticsearchio.Index, Index: []byte(d.sink.DeadLetterIndex), ID: []byte(l.Key()), Source: d.body, Ref: letterRef(n),
		Irreplaceable: true,
	}))
}

// putLetterAgain puts a dead letter that was refused in another form, if there
// is one: with half of its bytes where it is too large, since what the cluster
// takes it does not say, and in base64 where the mapping does not take its
// payload, as one that was made by payloads of another kind.
func (d *documents) putLetterAgain(ctx context.Context, n int, reason string) bool {
	l := &d.letters[n]
	before := l.size
	switch {
	case reason == elasticsearchio.ReasonTooLarge:
		l.limit = before / 2
		d.putLetter(ctx, n)
		return l.size < before
	case reason == elasticsearchio.ReasonMapping && !l.base64:
		l.base64 = true
		d.putLetter(ctx, n)
		return true
	}
	return false
}

// flush waits for all that was added, and for letters that are put again.
func (d *documents) flush(ctx context.Context) ([]refusedRecord, error) {
	var out []refusedRecord
	for {
		rejections, err := d.bulk.Flush(ctx)
		if err := cmp.Or(d.err, err); err != nil {
			return nil, err
		}
		again := false
		for _, r := range rejections {
			if r.Ref >= 0 {
				out = append(out, refusedRecord{d.records.list[r.Ref], r.Reason, r.Detail})
				continue
			}
			if !d.putLetterAgain(ctx, letterRef(r.Ref), r.Reason) {
				return nil, fmt.Errorf("index %s refuses a dead letter: %s", d.sink.DeadLetterIndex, r.Detail)
			}
			again = true
		}
		if !again {
			return out, nil
		}
	}
}

// check asks the cluster, and puts the index templates.
func (e *ElasticsearchSink) check(ctx context.Context) error {
	if err := e.Client.Check(ctx); err != nil {
		return err
	}
	if e.IndexTemplate == "" {
		return nil
	}
	client, err := elasticsearchio.New(ctx, e.Client)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.PutTemplate(ctx, []byte(e.IndexTemplate)); err != nil {
		return fmt.Errorf("ElasticsearchIndexTemplate: %w", err)
	}
	return nil
}
