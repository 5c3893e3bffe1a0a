package pipeline

import (
	"fmt"
	"slices"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

// A job may be started from a savepoint with another EventSchema. What waits in
// the state then has rows of the schema of before, and goes into files of that
// one. So that they can be written, the first block of a schema that is kept
// for a file has the schema before it. The state itself says that it is the
// first: a bundle that is done anew, maybe in the same process, sees the state
// of before.

// openFile is what the state "size" has of an open file: the bytes of its
// blocks, without descriptions, in the low bits, and above them a mark of the
// schema that was described last. A state of before blocks were described has no
// mark, which is 0. It is one number, since each state more is a call more for
// every block.
type openFile int64

const openSizeBits = 40 // OutputFileTargetSizeMb is less than 2^13

func (o openFile) size() int64 { return int64(o) & (1<<openSizeBits - 1) }

// add returns the file with so many bytes more.
func (o openFile) add(size int) openFile { return o + openFile(size) }

// describes says whether the schema that was described last is this one. Of two
// that have the same mark, a chance of 1 in 4 million, the second is left out,
// and a third schema before the file is closed is refused what it left.
func (o openFile) describes(fingerprint uint64) bool {
	return int64(o)>>openSizeBits == schemaMark(fingerprint)
}

// described returns the file with a block of this schema described.
func (o openFile) described(fingerprint uint64) openFile {
	return openFile(schemaMark(fingerprint)<<openSizeBits | o.size())
}

// schemaMark is what fits above a size of an int64 that is not negative, and is not 0.
func schemaMark(fingerprint uint64) int64 { return int64(fingerprint>>(openSizeBits+1)) | 1 }

// schemas has the formats of events' files: that of the job's schema, and those
// of other schemas as they come up. It is for one goroutine at a time.
type schemas struct {
	format  func(*event.Schema) (file.Format, error)
	current uint64
	// description precedes the first block of the current schema.
	description []byte
	formats     map[uint64]file.Format
}

func newSchemas(c Config) (*schemas, error) {
	schema, err := c.Route.LoadSchema()
	if err != nil {
		return nil, fmt.Errorf("event schema: %w", err)
	}
	format, err := c.format(schema)
	if err != nil {
		return nil, err
	}
	current := schema.Fingerprint()
	return &schemas{
		format: c.format, current: current, description: block.Describe(schema), formats: map[uint64]file.Format{current: format},
	}, nil
}

// keep returns a block of events as the state is to have it, and the file with it.
func (s *schemas) keep(o openFile, blk []byte) ([]byte, openFile, error) {
	fingerprint, err := block.FingerprintOf(blk)
	if err != nil {
		return nil, o, err
	}
	o = o.add(len(blk))
	// One of another schema was under way when the job was stopped.
	if fingerprint != s.current || o.describes(fingerprint) {
		return blk, o, nil
	}
	return slices.Concat(s.description, blk), o.described(fingerprint), nil
}

// fileBlocks are blocks of one file.
type fileBlocks struct {
	format file.Format
	blocks [][]byte
}

// split returns what an open file's blocks become: a file for each schema, in
// the order in which their first blocks came.
func (s *schemas) split(kept [][]byte) ([]fileBlocks, error) {
	var files []fileBlocks
	var fingerprints []uint64 // of files
	descriptions := map[uint64][]byte{}
	for _, b := range kept {
		description, blk, err := block.CutDescription(b)
		if err != nil {
			return nil, err
		}
		fingerprint, err := block.FingerprintOf(blk)
		if err != nil {
			return nil, err
		}
		if len(description) > 0 {
			descriptions[fingerprint] = description
		}
		at := slices.Index(fingerprints, fingerprint)
		if at < 0 {
			at = len(files)
			files, fingerprints = append(files, fileBlocks{}), append(fingerprints, fingerprint)
		}
		files[at].blocks = append(files[at].blocks, blk)
	}
	for i, fingerprint := range fingerprints {
		var err error
		if files[i].format, err = s.formatOf(fingerprint, descriptions[fingerprint]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// formatOf returns the format of a schema, which a description may have.
func (s *schemas) formatOf(fingerprint uint64, description []byte) (file.Format, error) {
	if f, ok := s.formats[fingerprint]; ok {
		return f, nil
	}
	if len(description) == 0 {
		return nil, fmt.Errorf("EventSchema: %w: fingerprint %016x, that of EventSchema is %016x", block.ErrSchema, fingerprint, s.current)
	}
	schema, err := block.DescribedSchema(description, fingerprint)
	if err != nil {
		return nil, err
	}
	f, err := s.format(schema)
	if err != nil {
		return nil, err
	}
	s.formats[fingerprint] = f
	return f, nil
}
