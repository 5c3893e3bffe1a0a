package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
)

// ledgerSuffix is what the name of a ledger's index or topic ends with, behind
// that of the letters.
const ledgerSuffix = "-resent"

// ResentName is the name of the index or topic in which is written what was sent
// again of the letters in another one.
func ResentName(letters string) string { return letters + ledgerSuffix }

type elasticsearchPlace struct {
	ElasticsearchPlace
	client *elasticsearchio.Client
}

func openElasticsearch(ctx context.Context, o ElasticsearchPlace) (*elasticsearchPlace, error) {
	client, err := elasticsearchio.New(ctx, o.Client)
	if err != nil {
		return nil, err
	}
	return &elasticsearchPlace{o, client}, nil
}

func (p *elasticsearchPlace) name() string { return "Elasticsearch index " + p.Index }

func (p *elasticsearchPlace) close() { p.client.Close() }

func (p *elasticsearchPlace) each(ctx context.Context, _ Filter, do func(Entry, error) error) error {
	return p.client.Scroll(ctx, p.Index, func(d elasticsearchio.Found) error {
		return do(parse(d.Source, d.Index+"/"+d.ID))
	})
}

// elasticsearchLedger has a document for each letter that somebody has set out
// to send, and another one when that was done, or when the source did not take
// it. A document is only ever made where there is none of its id.
type elasticsearchLedger struct {
	*elasticsearchPlace
	run   string
	tries tries
}

func (p *elasticsearchPlace) ledger(context.Context) (ledger, error) {
	return &elasticsearchLedger{p, newRun(), tries{}}, nil
}

func (l *elasticsearchLedger) index() string { return l.Index + ledgerSuffix }

func (l *elasticsearchLedger) place() string { return "Elasticsearch index " + l.index() }

// esNote is a document of the ledger. Its id is the state and, behind a slash,
// the letter's id and, behind a point, how often it was refused.
type esNote struct {
	note
	Letter string `json:"letter"`
	State  string `json:"state"`
}

func (l *elasticsearchLedger) load(ctx context.Context) (map[string]state, error) {
	notes := map[state][]string{}
	err := l.client.Scroll(ctx, l.index(), func(d elasticsearchio.Found) error {
		var n esNote
		if err := json.Unmarshal(d.Source, &n); err != nil {
			return &DamagedError{Where: d.Index + "/" + d.ID, Err: err}
		}
		s, ok := states[n.State]
		if !ok || n.Letter == "" {
			return &DamagedError{Where: d.Index + "/" + d.ID, Err: errors.New("it is not the record of a dead letter that was sent")}
		}
		notes[s] = append(notes[s], strings.TrimPrefix(d.ID, n.State+"/"))
		return nil
	})
	return l.tries.read(notes), err
}

func (l *elasticsearchLedger) claim(ctx context.Context, ids []string) ([]bool, error) {
	return l.create(ctx, claimed, ids, l.tries.names(ids))
}

func (l *elasticsearchLedger) confirm(ctx context.Context, ids []string) error {
	_, err := l.create(ctx, sent, ids, slices.Clone(ids))
	return err
}

func (l *elasticsearchLedger) refuse(ctx context.Context, ids []string) error {
	_, err := l.create(ctx, refused, ids, l.tries.names(ids))
	l.tries.refused(ids)
	return err
}

// create makes a document for each letter, of the name that is given for it.
func (l *elasticsearchLedger) create(ctx context.Context, s state, ids, names []string) ([]bool, error) {
	notes := make([]json.RawMessage, len(ids))
	for i, id := range ids {
		text, err := json.Marshal(esNote{newNote(l.run), id, s.String()})
		if err != nil {
			return nil, err
		}
		names[i], notes[i] = s.String()+"/"+names[i], text
	}
	return l.client.CreateAll(ctx, l.index(), names, notes)
}

func (l *elasticsearchLedger) close() {}
