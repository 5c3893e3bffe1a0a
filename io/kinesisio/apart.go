package kinesisio

import "strings"

// ReadBy says whether a producer writes into a stream that a source reads, as
// far as their options tell: at the same endpoint, of the same region and name,
// and of one account. Accounts are known of ARNs, of streams and of roles. Where
// only one is known, it is that of a stream, taken for the other's too, unless a
// role is assumed on one side only, which is how another account is reached.
func (o ProducerOptions) ReadBy(source Options) bool {
	written := o.reading().withDefaults()
	for _, read := range source.Streams() {
		read = read.withDefaults()
		if read.StreamName() == written.StreamName() && read.Region == written.Region &&
			strings.TrimSuffix(read.Endpoint, "/") == strings.TrimSuffix(written.Endpoint, "/") && oneAccount(read, written) {
			return true
		}
	}
	return false
}

func oneAccount(a, b Options) bool {
	one, other := a.account(), b.account()
	if one != "" && other != "" {
		return one == other
	}
	return a.RoleARN == b.RoleARN
}

// account returns the account of the stream, "" where that is the identity's own.
func (o Options) account() string {
	arn := o.RoleARN
	if strings.HasPrefix(o.Stream, "arn:") {
		arn = o.Stream
	}
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}
