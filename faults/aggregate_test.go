//go:build linux

package faults

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"google.golang.org/protobuf/encoding/protowire"
)

// aggregateMagic begins a record of many, by the Producer Library's published format; a protobuf message and its MD5
// follow.
var aggregateMagic = []byte{0xF3, 0x89, 0x9A, 0xC2}

// members takes a record of many apart, without the job's own code; another record is its only member.
func members(r types.Record) (out []types.Record, aggregated bool, err error) {
	end := len(r.Data) - md5.Size
	if !bytes.HasPrefix(r.Data, aggregateMagic) || end < len(aggregateMagic) {
		return []types.Record{r}, false, nil
	}
	message := r.Data[len(aggregateMagic):end]
	if sum := md5.Sum(message); !bytes.Equal(sum[:], r.Data[end:]) {
		return nil, true, errors.New("the checksum does not fit")
	}
	var keys []string
	var records [][]byte
	err = eachField(message, func(number protowire.Number, text []byte, _ uint64) {
		switch number {
		case 1: // partition_key_table
			keys = append(keys, string(text))
		case 3: // records
			records = append(records, text)
		}
	})
	for _, record := range records {
		member, key := r, uint64(0)
		err = errors.Join(err, eachField(record, func(number protowire.Number, text []byte, value uint64) {
			switch number {
			case 1: // partition_key_index
				key = value
			case 3: // data
				member.Data = text
			}
		}))
		if key >= uint64(len(keys)) {
			return nil, true, fmt.Errorf("a record has key %d of %d", key, len(keys))
		}
		member.PartitionKey = aws.String(keys[key])
		out = append(out, member)
	}
	return out, true, err
}

// eachField calls a function with each field of a message: its bytes, or its value.
func eachField(message []byte, do func(number protowire.Number, text []byte, value uint64)) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var text []byte
		var value uint64
		switch kind {
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		do(number, text, value)
		message = message[n:]
	}
	return nil
}
