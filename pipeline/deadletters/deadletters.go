// Package deadletters reads a job's dead letters where the job has put them,
// and sends chosen ones into its source again, each once.
//
// A letter passes through here so: s3.go, kafka.go or elasticsearch.go find it,
// Filter chooses it, Count and List show it; Resend asks whether the job would
// take its event now, and the ledger, which lies beside the letters, whether it
// was sent before, claims it there, hands it to the sender of send.go, and
// writes into the ledger that it was sent.
package deadletters

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// Options say where letters are and where they came from. One of S3, Kafka and
// Elasticsearch is the place of the letters, one of Kinesis and KafkaSource the
// source; the source is needed for Resend alone.
type Options struct {
	S3            *S3Place
	Kafka         *KafkaPlace
	Elasticsearch *ElasticsearchPlace

	Kinesis     *kinesisio.Options
	KafkaSource *kafkaio.Options
}

// S3Place is a bucket with letters as JSON lines.
type S3Place struct {
	Store s3io.Options
	// Prefix is what the keys of the job's dead letters begin with, before
	// "dead-letters/"; empty or with a / at its end.
	Prefix string
}

// KafkaPlace is a topic with a letter in each record.
type KafkaPlace struct {
	Brokers  []string
	Security security.Config
	Topic    string
}

// ElasticsearchPlace is an index with a letter in each document.
type ElasticsearchPlace struct {
	Client elasticsearchio.Options
	Index  string
}

// Entry is a letter as it was found.
type Entry struct {
	deadletter.Letter
	// ID names the event: all letters of one event have the same, also where
	// two sinks have refused it, or a letter was written twice.
	ID string
	// Where is the place of the letter, for people: an object and its line, a
	// partition and its offset, a document.
	Where string
}

// idLength is that of an ID in bytes, before it is written as text.
const idLength = 10

// idText is an alphabet of lower-case letters and digits without look-alikes.
var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ID returns what names the event of a letter: 16 letters and digits, made of
// the position in the source. Where a topic or stream was deleted and made
// anew, positions repeat, and with them the ids.
func ID(l *deadletter.Letter) string {
	h := sha256.New()
	for _, part := range []string{l.Source, l.Shard, l.Seq, strconv.FormatUint(uint64(l.Sub), 10)} {
		_, _ = io.WriteString(h, part) // a hash takes all
		_, _ = h.Write([]byte{0})
	}
	return idText.EncodeToString(h.Sum(nil)[:idLength])
}

// DamagedError is a letter that cannot be read. The others are not touched by it.
type DamagedError struct {
	Where string
	Err   error
}

func (e *DamagedError) Error() string { return e.Where + ": " + e.Err.Error() }

func (e *DamagedError) Unwrap() error { return e.Err }

// place is where letters are.
type place interface {
	// name is the place for people.
	name() string
	// each calls do with the letters, with at least those that the filter
	// takes; a damaged one comes as a *DamagedError. An error of do ends it.
	each(ctx context.Context, f Filter, do func(Entry, error) error) error
	// ledger opens the record of what was sent.
	ledger(ctx context.Context) (ledger, error)
	close()
}

// Box reads the letters of one job. It is not safe for concurrent use.
type Box struct {
	opts  Options
	place place
}

// Open opens the place of the letters; the caller closes it.
func Open(ctx context.Context, o Options) (*Box, error) {
	var p place
	var err error
	switch {
	case o.S3 != nil:
		p, err = openS3(ctx, *o.S3)
	case o.Kafka != nil:
		p, err = openKafka(ctx, *o.Kafka)
	case o.Elasticsearch != nil:
		p, err = openElasticsearch(ctx, *o.Elasticsearch)
	default:
		err = errors.New("the job has no place for dead letters")
	}
	if err != nil {
		return nil, fmt.Errorf("open the dead letters: %w", err)
	}
	return &Box{opts: o, place: p}, nil
}

// Close closes connections.
func (b *Box) Close() { b.place.close() }

// Place is where the letters are, for people.
func (b *Box) Place() string { return b.place.name() }

// Filter chooses letters. Empty fields choose all.
type Filter struct {
	// Reasons, Sources and Outputs are of what a letter must have one.
	Reasons, Sources, Outputs []string
	// IDs may be beginnings of ids, of four characters at least.
	IDs []string
	// Since and Until bound the time at which the source took the event; Since
	// is taken itself, Until is not.
	Since, Until time.Time
}

// minID is how much of an id is asked for.
const minID = 4

// Validate returns what is wrong with the filter.
func (f Filter) Validate() error {
	for _, id := range f.IDs {
		if len(id) < minID {
			return fmt.Errorf("id %q is shorter than %d characters", id, minID)
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return fmt.Errorf("--since %s is not before --until %s", f.Since.Format(time.RFC3339), f.Until.Format(time.RFC3339))
	}
	return nil
}

// IsZero reports whether the filter chooses all.
func (f Filter) IsZero() bool {
	return len(f.Reasons)+len(f.Sources)+len(f.Outputs)+len(f.IDs) == 0 && f.Since.IsZero() && f.Until.IsZero()
}

// takes reports whether the filter chooses a letter.
func (f Filter) takes(e *Entry) bool {
	in := func(list []string, text string) bool {
		for _, item := range list {
			if item == text {
				return true
			}
		}
		return len(list) == 0
	}
	at := time.UnixMilli(e.Arrival)
	return in(f.Reasons, e.Reason) && in(f.Sources, e.Source) && in(f.Outputs, e.Output) && f.takesID(e.ID) &&
		(f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until))
}

func (f Filter) takesID(id string) bool {
	for _, begin := range f.IDs {
		if strings.HasPrefix(id, begin) {
			return true
		}
	}
	return len(f.IDs) == 0
}

// each walks over the letters that the filter takes, and counts those that are damaged.
func (b *Box) each(ctx context.Context, f Filter, damaged *[]error, do func(Entry) error) error {
	if err := f.Validate(); err != nil {
		return err
	}
	err := b.place.each(ctx, f, func(e Entry, err error) error {
		var bad *DamagedError
		switch {
		case errors.As(err, &bad):
			*damaged = append(*damaged, bad)
			return nil
		case err != nil:
			return err
		case !f.takes(&e):
			return nil
		}
		return do(e)
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("read the dead letters of %s: %w", b.Place(), err)
	}
	return nil
}

// errStop ends a walk that has found enough.
var errStop = errors.New("stop")

// parse makes an entry of a letter's text.
func parse(text []byte, where string) (Entry, error) {
	l, err := deadletter.Parse(text)
	if err != nil {
		return Entry{}, &DamagedError{Where: where, Err: err}
	}
	return Entry{Letter: l, ID: ID(&l), Where: where}, nil
}
