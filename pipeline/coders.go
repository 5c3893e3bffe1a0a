package pipeline

import (
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/s3io"
)

// Steps are registered by their types, here and in the files that they are in.
// The generated callers of Beam's package register would save a reflective
// call for each batch and block, and take the compiler most of a minute.
func init() {
	beam.RegisterCoder(reflect.TypeFor[batch.Batch](), encodeBatch, decodeBatch)
	beam.RegisterCoder(reflect.TypeFor[s3io.Token](), encodeToken, decodeToken)
}

func encodeBatch(b batch.Batch) []byte { return batch.Encode(b) }

func decodeBatch(in []byte) (batch.Batch, error) { return batch.Decode(in) }

func encodeToken(t s3io.Token) []byte { return s3io.EncodeToken(t) }

func decodeToken(in []byte) (s3io.Token, error) { return s3io.DecodeToken(in) }
