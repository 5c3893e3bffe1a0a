package kinesisio

import "slices"

// filler packs the records of one part of a shard's range into aggregates.
// It sends them one after another, so that the order of keys is kept.
type filler struct {
	lane
	place  hashKey
	outlet *outlet
	// shares are the records in the lane.
	shares []share
	held   int
	// urgent says that somebody waits for what is in the lane: it goes out as
	// soon as the aggregate before it was accepted.
	urgent bool
}

// newFillers returns the fillers of a shard.
func newFillers(o *outlet, n int) []*filler {
	fillers := make([]*filler, n)
	for i := range fillers {
		f := &filler{place: o.from.between(o.to, i, n), outlet: o}
		f.hashKey = f.place.String()
		f.reset()
		fillers[i] = f
	}
	return fillers
}

// aggregate adds a record to its filler. p.mu is held.
func (p *Producer) aggregate(e *entry) {
	o := p.outlets.find(e.place)
	f := o.fillers[o.from.part(o.to, e.place, len(o.fillers))]
	key, hash, data := e.key(), e.explicit(), e.data()
	if f.count > 0 && f.size()+f.cost(key, hash, data) > p.opts.AggregateBytes {
		p.seal(f)
	}
	if f.size()+f.cost(key, hash, data) > p.opts.AggregateBytes {
		e.goAlone(f) // too large to be packed
		p.enqueue(e)
		return
	}
	f.add(key, hash, data)
	f.shares = append(f.shares, e.shares...)
	f.held += e.held
	p.release(e)
	if !p.lingering {
		p.lingering = true
		p.linger.Reset(p.opts.Linger)
	}
}

// goAlone has a record go as it is, to the same place as its filler's others.
func (e *entry) goAlone(f *filler) {
	key, hash, data := e.key(), e.explicit(), e.data()
	e.own = string(hash)
	e.buf = append(append(append(make([]byte, 0, len(key)+len(f.hashKey)+len(data)), key...), f.hashKey...), data...)
	e.keyEnd, e.hashEnd = len(key), len(key)+len(f.hashKey)
	e.place, e.filler = f.place, f
}

// seal sends what the filler holds as an entry of its own. p.mu is held.
func (p *Producer) seal(f *filler) { p.enqueue(p.packed(f)) }

// packed takes what the filler holds into an entry. p.mu is held.
func (p *Producer) packed(f *filler) *entry {
	e := p.entry()
	e.own = string(f.singleHash)
	r := f.take()
	e.buf = append(append(e.buf[:0], r.PartitionKey...), r.ExplicitHashKey...)
	e.keyEnd, e.hashEnd = len(r.PartitionKey), len(e.buf)
	e.packed, e.place, e.filler, e.payloads = r.Data, f.place, f, r.Count
	e.shares, f.shares = f.shares, e.shares[:0]
	e.held, f.held = f.held, 0
	f.urgent = false
	return e
}

// hurry sends what the fillers hold that the function names, at once or behind
// what is on its way. p.mu is held.
func (p *Producer) hurry(which func(*filler) bool) {
	for _, o := range p.outlets {
		for _, f := range o.fillers {
			if f.count == 0 || !which(f) {
				continue
			}
			if f.urgent = true; p.tails[f.place] == nil {
				p.seal(f)
			}
		}
	}
}

// hurryFlushes sends what the fillers hold that a Flush waits for. p.mu is held.
func (p *Producer) hurryFlushes() {
	p.hurry(func(f *filler) bool {
		return slices.ContainsFunc(f.shares, func(s share) bool { return s.bundle.flushing })
	})
}

// lingered sends what has waited long enough for more.
func (p *Producer) lingered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lingering = false
	p.hurry(func(*filler) bool { return true })
}

// unpack makes entries of an aggregate's records, for other shards. p.mu is held.
func (p *Producer) unpack(e *entry, each func(*entry)) {
	n := 0
	e.eachRecord(func(key, hash, data []byte) {
		r := p.entry()
		r.buf = append(append(append(r.buf[:0], key...), hash...), data...)
		r.keyEnd, r.hashEnd = len(key), len(key)+len(hash)
		r.place = placeOf(key, hash)
		r.shares = append(r.shares, e.shares[n])
		r.held = e.held / len(e.shares)
		if n == len(e.shares)-1 {
			r.held = e.held - r.held*n
		}
		r.first, r.attempts, r.payloads = e.first, e.attempts, 1
		n++
		each(r)
	})
	p.release(e)
}

// eachRecord calls f for each record of an aggregate, or for the one that a
// filler has sent alone, with its own keys; hash is empty where it has none.
func (e *entry) eachRecord(f func(key, hash, data []byte)) {
	if len(e.shares) == 1 {
		f(e.key(), []byte(e.own), e.data())
		return
	}
	eachSub(e.data(), f)
}

// within says whether all of an aggregate's records belong into the range.
func (e *entry) within(r *shardRange) bool {
	all := true
	e.eachRecord(func(key, hash, _ []byte) { all = all && r.holds(placeOf(key, hash)) })
	return all
}
