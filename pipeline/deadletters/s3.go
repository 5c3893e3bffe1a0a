package deadletters

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

const (
	lettersFolder = deadletter.Folder + "/"
	ledgerFolder  = deadletter.ResentFolder + "/"
)

// claimsAtOnce bounds the requests to S3 at one time.
const claimsAtOnce = 32

type s3Place struct {
	S3Place
	store *s3io.Store
}

func openS3(ctx context.Context, o S3Place) (*s3Place, error) {
	store, err := s3io.New(ctx, o.Store)
	if err != nil {
		return nil, err
	}
	return &s3Place{o, store}, nil
}

func (p *s3Place) name() string { return "s3://" + p.Store.Bucket + "/" + p.Prefix + lettersFolder }

func (p *s3Place) close() {}

func (p *s3Place) each(ctx context.Context, f Filter, do func(Entry, error) error) error {
	for key, err := range p.store.Keys(ctx, p.Prefix+lettersFolder) {
		if err != nil {
			return err
		}
		// The folder tells the reason, so that the others need not be read.
		if _, reason, ok := strings.Cut(key, "/reason="); ok && len(f.Reasons) > 0 {
			if reason, _, _ = strings.Cut(reason, "/"); !slices.Contains(f.Reasons, reason) {
				continue
			}
		}
		if !strings.HasSuffix(key, ".jsonl") {
			continue
		}
		if err := p.file(ctx, key, do); err != nil {
			return err
		}
	}
	return nil
}

func (p *s3Place) file(ctx context.Context, key string, do func(Entry, error) error) error {
	lines := bufio.NewScanner(p.store.Read(ctx, key))
	lines.Buffer(nil, deadletter.MaxBytes)
	for n := 1; lines.Scan(); n++ {
		e, err := parse(lines.Bytes(), fmt.Sprintf("s3://%s/%s line %d", p.Store.Bucket, key, n))
		if err := do(e, err); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return do(Entry{}, &DamagedError{Where: "s3://" + p.Store.Bucket + "/" + key, Err: fmt.Errorf("it has a line of more than %d bytes", deadletter.MaxBytes)})
	} else if err != nil {
		return err
	}
	return nil
}

// s3Ledger has an object in claimed/ for each letter that somebody has set out
// to send, and one in sent/ when that was done, or in refused/ when the source
// did not take it. An object is only ever made where there is none, so that of
// several who claim a letter one does.
type s3Ledger struct {
	*s3Place
	run   string
	tries tries
}

func (p *s3Place) ledger(context.Context) (ledger, error) {
	return &s3Ledger{p, newRun(), tries{}}, nil
}

const (
	claimedFolder = ledgerFolder + "claimed/"
	refusedFolder = ledgerFolder + "refused/"
	sentFolder    = ledgerFolder + "sent/"
)

func (l *s3Ledger) place() string { return "s3://" + l.Store.Bucket + "/" + l.Prefix + ledgerFolder }

func (l *s3Ledger) load(ctx context.Context) (map[string]state, error) {
	notes := map[state][]string{}
	for folder, s := range map[string]state{claimedFolder: claimed, refusedFolder: refused, sentFolder: sent} {
		for key, err := range l.store.Keys(ctx, l.Prefix+folder) {
			if err != nil {
				return nil, err
			}
			notes[s] = append(notes[s], key[len(l.Prefix+folder):])
		}
	}
	return l.tries.read(notes), nil
}

func (l *s3Ledger) claim(ctx context.Context, ids []string) ([]bool, error) {
	return l.putAll(ctx, claimedFolder, l.tries.names(ids))
}

func (l *s3Ledger) confirm(ctx context.Context, ids []string) error {
	_, err := l.putAll(ctx, sentFolder, ids)
	return err
}

func (l *s3Ledger) refuse(ctx context.Context, ids []string) error {
	_, err := l.putAll(ctx, refusedFolder, l.tries.names(ids))
	l.tries.refused(ids)
	return err
}

func (l *s3Ledger) putAll(ctx context.Context, folder string, names []string) ([]bool, error) {
	body, err := json.Marshal(newNote(l.run))
	if err != nil {
		return nil, err
	}
	won := make([]bool, len(names))
	var g errgroup.Group // the others are not cut off by an error: S3 might do them all the same
	g.SetLimit(claimsAtOnce)
	for i, name := range names {
		g.Go(func() (err error) {
			won[i], err = l.store.PutNew(ctx, l.Prefix+folder+name, body)
			return err
		})
	}
	return won, g.Wait()
}

func (l *s3Ledger) close() {}
