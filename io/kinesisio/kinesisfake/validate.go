package kinesisfake

import (
	"fmt"
	"strings"
)

// checks gathers what is wrong with a request's members, in the words of the
// service, which reports all of them in one ValidationException.
type checks struct{ failed []string }

func (c *checks) addf(member string, value any, format string, args ...any) {
	text := "null"
	if value != nil {
		text = fmt.Sprintf("'%v'", value)
	}
	c.failed = append(c.failed, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: Member %s",
		text, member, fmt.Sprintf(format, args...)))
}

func (c *checks) err() error {
	switch len(c.failed) {
	case 0:
		return nil
	case 1:
		return failf("ValidationException", "1 validation error detected: %s", c.failed[0])
	}
	return failf("ValidationException", "%d validation errors detected: %s", len(c.failed), strings.Join(c.failed, "; "))
}

// name checks the form of a stream's name or a shard's id, which is the same.
func (c *checks) name(member string, value *string, required bool) {
	switch {
	case value == nil:
		if required {
			c.addf(member, nil, "must not be null")
		}
	case len(*value) == 0:
		c.addf(member, "", "must have length greater than or equal to 1")
	case len(*value) > maxStreamName:
		c.addf(member, *value, "must have length less than or equal to %d", maxStreamName)
	case strings.ContainsFunc(*value, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '.' && r != '-'
	}):
		c.addf(member, *value, "must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
}

// between checks an optional number.
func (c *checks) between(member string, value *int64, low, high int64) {
	switch {
	case value == nil:
	case *value < low:
		c.addf(member, *value, "must have value greater than or equal to %d", low)
	case *value > high:
		c.addf(member, *value, "must have value less than or equal to %d", high)
	}
}

func (c *checks) present(member string, value *string) {
	if value == nil {
		c.addf(member, nil, "must not be null")
	}
}

// decimal checks the form of sequence numbers and hash keys.
func (c *checks) decimal(member string, value *string) {
	if value == nil {
		return
	}
	digits := *value != "" && (*value == "0" || (*value)[0] != '0') && len(*value) <= 129
	for i := 0; digits && i < len(*value); i++ {
		digits = (*value)[i] >= '0' && (*value)[i] <= '9'
	}
	if !digits {
		c.addf(member, *value, `must satisfy regular expression pattern: 0|([1-9]\d{0,128})`)
	}
}

// oneOf checks an enumeration.
func (c *checks) oneOf(member string, value *string, required bool, allowed ...string) {
	if value == nil {
		if required {
			c.addf(member, nil, "must not be null")
		}
		return
	}
	for _, a := range allowed {
		if a == *value {
			return
		}
	}
	c.addf(member, *value, "must satisfy enum value set: [%s]", strings.Join(allowed, ", "))
}
