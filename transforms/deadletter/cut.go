package deadletter

import "strings"

// Cut reports whether AppendShort has cut the payload, so that it is not the event.
func (l *Letter) Cut() bool {
	return strings.HasSuffix(l.Detail, " bytes)") && strings.Contains(l.Detail, " (the payload is cut to ")
}
