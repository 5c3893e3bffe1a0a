package kinesisfake

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of the options.
const (
	DefaultRegion     = "us-east-1"
	DefaultAccountID  = "000000000000"
	DefaultShardLimit = 20000
	// DefaultSubscriptionTime is after how long the service ends a subscription.
	DefaultSubscriptionTime = 5 * time.Minute
)

// An Option changes how a server behaves. Options that contradict the
// service's rules make New and NewHandler fail.
type Option func(*config)

type seed struct {
	name   string
	shards int
}

type config struct {
	region        string
	account       string
	now           func() time.Time
	enforceLimits bool
	shardLimit    int
	transition    time.Duration
	subscription  time.Duration
	seeds         []seed
}

// SeedStream creates a stream of that name before the first request, ACTIVE
// at once whatever TransitionTime says. It may be given several times.
func SeedStream(name string, shards int) Option {
	return func(c *config) { c.seeds = append(c.seeds, seed{name, shards}) }
}

// EnforceLimits makes the server throttle as the service does: a shard takes
// 1 MiB and 1,000 records a second, gives 2 MiB and five GetRecords calls a
// second and five iterators a second; a stream is described ten times a
// second. The default is no such limit. Handler.SetEnforceLimits switches it
// later.
func EnforceLimits() Option { return func(c *config) { c.enforceLimits = true } }

// WithClock replaces time.Now as the source of arrival times, expiry,
// retention, throttling and transitions. now is called from many goroutines.
// A clock that stands still or goes back is no harm: arrival times never
// decrease within a shard.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// Region sets the region in stream ARNs and messages instead of DefaultRegion.
func Region(name string) Option { return func(c *config) { c.region = name } }

// AccountID sets the twelve-digit account in stream ARNs and messages instead
// of DefaultAccountID.
func AccountID(id string) Option { return func(c *config) { c.account = id } }

// ShardLimit sets how many open shards all streams may have together, instead
// of DefaultShardLimit. What would exceed it gets LimitExceededException.
func ShardLimit(n int) Option { return func(c *config) { c.shardLimit = n } }

// TransitionTime sets how long (by the server's clock) streams stay CREATING,
// UPDATING and DELETING. The default is 0: changes are done when the call
// returns.
func TransitionTime(d time.Duration) Option { return func(c *config) { c.transition = d } }

// SubscriptionTime sets how long a SubscribeToShard lasts, instead of
// DefaultSubscriptionTime.
func SubscriptionTime(d time.Duration) Option { return func(c *config) { c.subscription = d } }

func (c *config) validate() error {
	var errs []error
	if c.subscription <= 0 {
		errs = append(errs, fmt.Errorf("subscription time %v is not above zero", c.subscription))
	}
	if c.now == nil {
		errs = append(errs, errors.New("clock is nil"))
	}
	if c.region == "" {
		errs = append(errs, errors.New("region is empty"))
	}
	if len(c.account) != 12 {
		errs = append(errs, fmt.Errorf("account id %q has not twelve digits", c.account))
	}
	if c.transition < 0 {
		errs = append(errs, fmt.Errorf("transition time %v is negative", c.transition))
	}
	if c.shardLimit < 1 {
		errs = append(errs, fmt.Errorf("shard limit %d is below 1", c.shardLimit))
	}
	return errors.Join(errs...)
}
