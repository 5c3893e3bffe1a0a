package kinesisio

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// published is the definition that the Kinesis Producer Library publishes, as
// its messages: another writer and reader of the format than this package's.
type published struct {
	aggregated, record, tag protoreflect.MessageDescriptor
}

func newPublished(t testing.TB) published {
	t.Helper()
	type field = descriptorpb.FieldDescriptorProto
	f := func(name string, number int32, label descriptorpb.FieldDescriptorProto_Label, kind descriptorpb.FieldDescriptorProto_Type) *field {
		return &field{Name: &name, Number: &number, Label: &label, Type: &kind}
	}
	of := func(f *field, message string) *field {
		f.TypeName = &message
		return f
	}
	const (
		required = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED
		optional = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		repeated = descriptorpb.FieldDescriptorProto_LABEL_REPEATED

		text    = descriptorpb.FieldDescriptorProto_TYPE_STRING
		number  = descriptorpb.FieldDescriptorProto_TYPE_UINT64
		data    = descriptorpb.FieldDescriptorProto_TYPE_BYTES
		message = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("messages.proto"), Syntax: proto.String("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("AggregatedRecord"), Field: []*field{
				f("partition_key_table", 1, repeated, text),
				f("explicit_hash_key_table", 2, repeated, text),
				of(f("records", 3, repeated, message), ".Record"),
			}},
			{Name: proto.String("Tag"), Field: []*field{f("key", 1, required, text), f("value", 2, optional, text)}},
			{Name: proto.String("Record"), Field: []*field{
				f("partition_key_index", 1, required, number),
				f("explicit_hash_key_index", 2, optional, number),
				f("data", 3, required, data),
				of(f("tags", 4, repeated, message), ".Tag"),
			}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := file.Messages()
	return published{m.ByName("AggregatedRecord"), m.ByName("Record"), m.ByName("Tag")}
}

// packedRecord is what an aggregate says of one of its records.
type packedRecord struct{ key, hash, data string }

// decode reads an aggregate by the definition.
func (p published) decode(t testing.TB, record []byte) []packedRecord {
	t.Helper()
	message := record[len(aggregateMagic) : len(record)-md5.Size]
	if sum := md5.Sum(message); string(record[:len(aggregateMagic)]) != aggregateMagic || !bytes.Equal(sum[:], record[len(record)-md5.Size:]) {
		t.Fatalf("%x is not between magic and checksum", record)
	}
	m := dynamicpb.NewMessage(p.aggregated)
	if err := proto.Unmarshal(message, m); err != nil {
		t.Fatal(err)
	}
	if len(m.GetUnknown()) > 0 {
		t.Errorf("unknown fields %x", m.GetUnknown())
	}
	list := func(name protoreflect.Name) protoreflect.List {
		return m.Get(p.aggregated.Fields().ByName(name)).List()
	}
	keys, hashes, records := list("partition_key_table"), list("explicit_hash_key_table"), list("records")
	var out []packedRecord
	for i := range records.Len() {
		r := records.Get(i).Message()
		if len(r.GetUnknown()) > 0 {
			t.Errorf("unknown fields %x in record %d", r.GetUnknown(), i)
		}
		get := func(name protoreflect.Name) protoreflect.Value { return r.Get(p.record.Fields().ByName(name)) }
		one := packedRecord{key: keys.Get(int(get("partition_key_index").Uint())).String(), data: string(get("data").Bytes())}
		if r.Has(p.record.Fields().ByName("explicit_hash_key_index")) {
			one.hash = hashes.Get(int(get("explicit_hash_key_index").Uint())).String()
		}
		out = append(out, one)
	}
	return out
}

// encode writes an aggregate by the definition, with some tags.
func (p published) encode(t testing.TB, in []packedRecord, tags func(i int) map[string]string) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(p.aggregated)
	intern := func(name protoreflect.Name, text string) protoreflect.Value {
		table := m.Mutable(p.aggregated.Fields().ByName(name)).List()
		for i := range table.Len() {
			if table.Get(i).String() == text {
				return protoreflect.ValueOfUint64(uint64(i))
			}
		}
		table.Append(protoreflect.ValueOfString(text))
		return protoreflect.ValueOfUint64(uint64(table.Len() - 1))
	}
	records := m.Mutable(p.aggregated.Fields().ByName("records")).List()
	for i, one := range in {
		r := records.AppendMutable().Message()
		r.Set(p.record.Fields().ByName("partition_key_index"), intern("partition_key_table", one.key))
		if one.hash != "" {
			r.Set(p.record.Fields().ByName("explicit_hash_key_index"), intern("explicit_hash_key_table", one.hash))
		}
		r.Set(p.record.Fields().ByName("data"), protoreflect.ValueOfBytes([]byte(one.data)))
		for k, v := range tags(i) {
			tag := r.Mutable(p.record.Fields().ByName("tags")).List().AppendMutable().Message()
			tag.Set(p.tag.Fields().ByName("key"), protoreflect.ValueOfString(k))
			if v != "" {
				tag.Set(p.tag.Fields().ByName("value"), protoreflect.ValueOfString(v))
			}
		}
	}
	message, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return sealed(string(message))
}

// someRecords are records of few keys, some with explicit hash keys of their
// own, some without data.
func someRecords(rng *rand.Rand, n int) []packedRecord {
	out := make([]packedRecord, n)
	for i := range out {
		out[i] = packedRecord{key: fmt.Sprintf("é%d", rng.IntN(n/2+1)), data: strings.Repeat("x\x00\xff", rng.IntN(200)/2)}
		switch rng.IntN(4) {
		case 0:
			out[i].hash = fmt.Sprint(rng.Uint64N(5))
		case 1:
			out[i].data = ""
		}
	}
	return out
}

func TestAggregatesAreReadByThePublishedDefinition(t *testing.T) {
	p := newPublished(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		a, err := NewAggregator(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := someRecords(rng, 2+n)
		var got []packedRecord
		take := func(records []Record) {
			for _, r := range records {
				if r.Count > 1 {
					got = append(got, p.decode(t, r.Data)...)
				} else {
					got = append(got, packedRecord{r.PartitionKey, "", string(r.Data)})
					want[len(got)-1].hash = "" // goes under the lane's
				}
			}
		}
		for _, r := range want {
			full, err := a.Add(r.key, r.hash, []byte(r.data))
			if err != nil {
				t.Fatal(err)
			}
			take(full)
		}
		take(a.Flush())
		if !slices.Equal(got, want) {
			t.Fatalf("%d records are read as %d, or others", len(want), len(got))
		}
	}
}

func TestAggregatesByThePublishedDefinitionAreTakenApart(t *testing.T) {
	p := newPublished(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 300 {
		want := someRecords(rng, n)
		in := p.encode(t, want, func(i int) map[string]string {
			return []map[string]string{nil, {"k": "v"}, {"k": "", "l": "w"}}[i%3]
		})
		subs, ok := deaggregate(in, nil)
		if !ok || len(subs) != n {
			t.Fatalf("%d records are read as %d, aggregated %v", n, len(subs), ok)
		}
		var got []packedRecord
		eachSub(in, func(key, hash, data []byte) { got = append(got, packedRecord{string(key), string(hash), string(data)}) })
		for i := range subs {
			if string(subs[i]) != want[i].data {
				t.Fatalf("record %d of %d is %q, want %q", i, n, subs[i], want[i].data)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("keys of %d records are read otherwise", n)
		}
	}
}
