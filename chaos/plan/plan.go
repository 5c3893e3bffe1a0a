// Package plan draws what is done in a chaos run, and when, from a seed. It
// touches nothing: a plan is a function of its seed and size.
package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/proxy"
)

// A Kind is a kind of damage.
type Kind string

// The kinds.
const (
	KillWorker        Kind = "kill-worker"
	KillTaskManager   Kind = "kill-taskmanager"
	KillJobManager    Kind = "kill-jobmanager" // the jobs are started again from their last checkpoints
	KillBroker        Kind = "kill-broker"
	KillElasticsearch Kind = "kill-elasticsearch"
	KillS3            Kind = "kill-s3"
	StopWorker        Kind = "stop-worker" // SIGSTOP, then SIGCONT
	StopTaskManager   Kind = "stop-taskmanager"
	StopBroker        Kind = "stop-broker"
	Network           Kind = "network" // a proxy before a server does harm
	Savepoint         Kind = "savepoint"
	Reshard           Kind = "reshard"
	AddPartition      Kind = "add-partition"
	FullDisk          Kind = "full-disk" // no room for checkpoints
)

// A card is a kind, how often it comes before all begin anew, and what it acts on.
type card struct {
	kind  Kind
	times int
	group group
}

var deck = []card{
	{KillWorker, 4, inCluster},
	{KillTaskManager, 3, inCluster},
	{KillJobManager, 2, inCluster},
	{KillBroker, 2, inKafka},
	{KillElasticsearch, 1, inElasticsearch},
	{KillS3, 2, inS3},
	{StopWorker, 2, inCluster},
	{StopTaskManager, 2, inCluster},
	{StopBroker, 2, inKafka},
	{Network, 6, inNetwork},
	{Savepoint, 3, inCluster},
	{Reshard, 2, inKinesis},
	{AddPartition, 1, inKafka},
	{FullDisk, 1, inCluster},
}

// A group is what kinds of damage act on. Two at once are of different ones.
type group int

const (
	inCluster group = iota
	inKafka
	inElasticsearch
	inS3
	inKinesis
	inNetwork
)

// Kinds are all of them.
func Kinds() []Kind {
	var kinds []Kind
	for _, d := range deck {
		kinds = append(kinds, d.kind)
	}
	return kinds
}

func groupOf(k Kind) group {
	i := slices.IndexFunc(deck, func(c card) bool { return c.kind == k })
	return deck[i].group
}

// A Server is one that a proxy stands before.
type Server string

// The servers.
const (
	S3            Server = "S3"
	Elasticsearch Server = "Elasticsearch"
	Kinesis       Server = "Kinesis"
	Kafka         Server = "Kafka"
)

// A Damage is one thing that is done.
type Damage struct {
	ID   int // from 1
	Kind Kind
	// Victim chooses among those that there are when it is done: of n the one of Victim modulo n.
	Victim int
	// For is how long something is away, halted, in trouble or full.
	For time.Duration
	// Server and Mode are those of Network.
	Server Server
	Mode   proxy.Mode
	// Parallelism is that of the job after a Savepoint.
	Parallelism int
}

func (d Damage) String() string {
	text := fmt.Sprintf("%s, victim %d, %.1f s", d.Kind, d.Victim, d.For.Seconds())
	switch d.Kind {
	case Network:
		text += fmt.Sprintf(", %s of %s", d.Mode, d.Server)
	case Savepoint:
		text += fmt.Sprintf(", parallelism %d", d.Parallelism)
	}
	return text
}

// A Step is what is done at once, after a pause.
type Step struct {
	Pause   time.Duration
	Damages []Damage
}

// Options are the size of a plan.
type Options struct {
	// Damages are how many there are.
	Damages int
	// Pause bounds the pause before a step.
	Pause time.Duration
	// Longest bounds how long something is away or halted.
	Longest time.Duration
	// Parallelism bounds a job's.
	Parallelism int
	// Kinds are those that are drawn; none means all.
	Kinds []Kind
}

// shortest is the least time for which something is away or halted.
const shortest = time.Second

// twoOf is of how many steps one does two things at once.
const twoOf = 6

// Draw draws a plan.
func Draw(seed uint64, o Options) []Step {
	random := rand.New(rand.NewPCG(seed, 2))
	kinds := dealer{random: random, of: o.Kinds}
	var steps []Step
	for id := 1; id <= o.Damages; {
		step := Step{Pause: below(random, o.Pause), Damages: []Damage{draw(random, id, kinds.next(nil), o)}}
		id++
		if two := random.IntN(twoOf) == 0; two && id <= o.Damages {
			if other, ok := kinds.beside(step.Damages[0].Kind); ok {
				step.Damages = append(step.Damages, draw(random, id, other, o))
				id++
			}
		}
		steps = append(steps, step)
	}
	return steps
}

func below(random *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(random.Int64N(int64(d))).Truncate(time.Millisecond)
}

// span draws how long something lasts: as likely 1 to 2 s as 30 to 60 s, since most recoveries are of short outages, and
// what only a long one shows is worth its time now and then.
func span(random *rand.Rand, longest time.Duration) time.Duration {
	d := float64(shortest) * math.Pow(float64(longest)/float64(shortest), random.Float64())
	return time.Duration(d).Truncate(time.Millisecond)
}

func draw(random *rand.Rand, id int, k Kind, o Options) Damage {
	servers, modes := []Server{S3, Elasticsearch, Kinesis, Kafka}, proxy.Damages()
	// All are drawn whatever the kind is, so that a further kind changes no other.
	d := Damage{
		ID: id, Kind: k, Victim: random.IntN(1 << 20), For: span(random, o.Longest),
		Server: servers[random.IntN(len(servers))], Mode: modes[random.IntN(len(modes))],
		Parallelism: 1 + random.IntN(max(1, o.Parallelism)),
	}
	if k != Network {
		d.Server, d.Mode = "", ""
	}
	if k != Savepoint {
		d.Parallelism = 0
	}
	return d
}

// A dealer deals kinds from a shuffled deck, and shuffles anew when it is empty: so a run has some of all.
type dealer struct {
	random *rand.Rand
	of     []Kind
	left   []Kind
}

func (d *dealer) shuffle() {
	var cards []Kind
	for _, c := range deck {
		if len(d.of) > 0 && !slices.Contains(d.of, c.kind) {
			continue
		}
		for range c.times {
			cards = append(cards, c.kind)
		}
	}
	d.random.Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
	d.left = append(d.left, cards...)
}

// next deals the first kind that will do; nil takes any.
func (d *dealer) next(will func(Kind) bool) Kind {
	if len(d.left) == 0 {
		d.shuffle()
	}
	at := 0
	if will != nil {
		at = slices.IndexFunc(d.left, will)
	}
	if at < 0 {
		return ""
	}
	k := d.left[at]
	d.left = slices.Delete(d.left, at, at+1)
	return k
}

// beside deals a kind that can be done at once with another.
func (d *dealer) beside(other Kind) (Kind, bool) {
	k := d.next(func(k Kind) bool { return groupOf(k) != groupOf(other) })
	return k, k != ""
}
