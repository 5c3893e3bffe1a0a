package kinesisio

import (
	"bytes"
	"crypto/md5"

	"google.golang.org/protobuf/encoding/protowire"
)

// The format of aggregated records is the Kinesis Producer Library's
// (aggregation-format.md of amazon-kinesis-producer): four bytes of magic, a
// protobuf message AggregatedRecord, the message's MD5.
//
//	message AggregatedRecord {
//	  repeated string partition_key_table     = 1;
//	  repeated string explicit_hash_key_table = 2;
//	  repeated Record records                 = 3;
//	}
//	message Record {
//	  required uint64 partition_key_index     = 1;
//	  optional uint64 explicit_hash_key_index = 2;
//	  required bytes  data                    = 3;
//	  repeated Tag    tags                    = 4;
//	}
const (
	aggregateMagic = "\xF3\x89\x9A\xC2"

	fieldKeyTable  = protowire.Number(1)
	fieldHashTable = protowire.Number(2)
	fieldRecords   = protowire.Number(3)

	fieldKeyIndex  = protowire.Number(1)
	fieldHashIndex = protowire.Number(2)
	fieldData      = protowire.Number(3)
)

// deaggregate appends the payloads within an aggregated record to subs, in
// their order; they are slices of data. It reports false for a record that is
// not aggregated, or only looks so (checksum, protobuf or key index is wrong):
// such a record is one event as it is.
//
// All payloads are returned, whichever shard their own keys would go to. The
// Kinesis Client Library passes over the whole aggregate where the key of one
// of them is outside of the shard's hash range. When a shard is split between
// the aggregation and the arrival, the KPL sees from the answer's shard that
// some of the records went to the wrong child and sends these again, our
// Producer all of them, so that a reader of everything gets them twice. Other
// producers (the aggregators of AWS for Java, Python and Go, agents) send
// whole aggregates under one key and repeat nothing: passing over them loses
// what they sent, as it does those records of the KPL's that it does not
// repeat. Doubled events are found by their id, lost ones by nobody.
func deaggregate(data []byte, subs [][]byte) ([][]byte, bool) {
	if len(data) < len(aggregateMagic)+md5.Size || string(data[:len(aggregateMagic)]) != aggregateMagic {
		return subs, false
	}
	message, sum := data[len(aggregateMagic):len(data)-md5.Size], data[len(data)-md5.Size:]
	if want := md5.Sum(message); !bytes.Equal(want[:], sum) {
		return subs, false
	}
	begin := len(subs)
	// Indexes are checked at the end: nothing says that the tables come first.
	var keys, hashes, topKey, topHash uint64
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return subs[:begin], false
		}
		message = message[n:]
		if num > fieldRecords {
			if n = protowire.ConsumeFieldValue(num, typ, message); n < 0 {
				return subs[:begin], false
			}
			message = message[n:]
			continue
		}
		if typ != protowire.BytesType {
			return subs[:begin], false
		}
		value, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return subs[:begin], false
		}
		message = message[n:]
		switch num {
		case fieldKeyTable:
			keys++
		case fieldHashTable:
			hashes++
		case fieldRecords:
			sub, ok := parseSub(value)
			if !ok {
				return subs[:begin], false
			}
			topKey, topHash = max(topKey, sub.key+1), max(topHash, sub.hash)
			subs = append(subs, sub.data)
		}
	}
	if topKey > keys || topHash > hashes {
		return subs[:begin], false
	}
	return subs, true
}

type sub struct {
	key uint64
	// hash is the explicit hash key's index plus one, 0 if there is none.
	hash uint64
	data []byte
}

func parseSub(in []byte) (sub, bool) {
	var (
		s               sub
		hasKey, hasData bool
	)
	for len(in) > 0 {
		num, typ, n := protowire.ConsumeTag(in)
		if n < 0 {
			return sub{}, false
		}
		in = in[n:]
		switch num {
		case fieldKeyIndex, fieldHashIndex:
			if typ != protowire.VarintType {
				return sub{}, false
			}
			v, n := protowire.ConsumeVarint(in)
			if n < 0 || v >= 1<<32 {
				return sub{}, false
			}
			in = in[n:]
			if num == fieldKeyIndex {
				s.key, hasKey = v, true
			} else {
				s.hash = v + 1
			}
		case fieldData:
			if typ != protowire.BytesType {
				return sub{}, false
			}
			v, n := protowire.ConsumeBytes(in)
			if n < 0 {
				return sub{}, false
			}
			in = in[n:]
			s.data, hasData = v, true
		default:
			n := protowire.ConsumeFieldValue(num, typ, in)
			if n < 0 {
				return sub{}, false
			}
			in = in[n:]
		}
	}
	return s, hasKey && hasData
}

// eachSub calls f for each payload of a record that deaggregate found to be
// aggregated, with its keys; hash is empty where it has none.
func eachSub(data []byte, f func(key, hash, payload []byte)) {
	var keys, hashes [][]byte
	message := data[len(aggregateMagic) : len(data)-md5.Size]
	eachField(message, func(num protowire.Number, value []byte) {
		switch num {
		case fieldKeyTable:
			keys = append(keys, value)
		case fieldHashTable:
			hashes = append(hashes, value)
		}
	})
	// Nothing says that the tables come first.
	eachField(message, func(num protowire.Number, value []byte) {
		if num != fieldRecords {
			return
		}
		s, _ := parseSub(value)
		var hash []byte
		if s.hash > 0 {
			hash = hashes[s.hash-1]
		}
		f(keys[s.key], hash, s.data)
	})
}

// eachField calls f for each known field of a message that deaggregate has taken.
func eachField(message []byte, f func(num protowire.Number, value []byte)) {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		message = message[n:]
		if num > fieldRecords {
			message = message[protowire.ConsumeFieldValue(num, typ, message):]
			continue
		}
		value, n := protowire.ConsumeBytes(message)
		f(num, value)
		message = message[n:]
	}
}
