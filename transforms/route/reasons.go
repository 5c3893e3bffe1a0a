package route

// Reasons of dead letters, besides those of packages decode and template and of
// the sinks. They are part of the letters' format: they do not change.
const (
	// ReasonUndecodable is an error that gives no reason of its own.
	ReasonUndecodable = "undecodable"
	// ReasonTombstone is a null value that cannot be passed on.
	ReasonTombstone = "tombstone"
	// ReasonTooLarge is an event, or a message of it, of too many bytes.
	ReasonTooLarge = "too_large"
	// ReasonReservedPath is a path that an event begins with a folder of the
	// dead letters.
	ReasonReservedPath = "reserved_path"
	// ReasonInvalidTopic is a name that no topic has, or of one that no event
	// may name.
	ReasonInvalidTopic = "invalid_topic"
	// ReasonMissingKey is a message without the key that its topic asks for.
	ReasonMissingKey = "missing_key"
	// ReasonInvalidTimestamp is a message older or newer than its topic takes.
	ReasonInvalidTimestamp = "invalid_timestamp"
)
