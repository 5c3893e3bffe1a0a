package logging

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// No line of this program is made of a secret. What a library or a server says
// is not known beforehand: what looks like a credential is taken out of it.
var (
	// userInfo is user and password in a URL (RFC 3986, 3.2.1).
	userInfo = regexp.MustCompile(`(://)[^/?#\s"'@]*:[^/?#\s"'@]*@`)
	// credential is a parameter of a signed URL, a header or a setting of JAAS.
	credential = regexp.MustCompile(`(?i)((?:X-Amz-(?:Signature|Credential|Security-Token)|password|passwd|secret|api_?key|token|authorization)["']?\s*[=:]\s*)(?:(?:Basic|Bearer|ApiKey)\s+)?("[^"]*"|'[^']*'|[^\s&;,"')}]+)`)
)

const masked = "***"

// redact returns the text without credentials.
func redact(text string) string {
	if strings.Contains(text, "://") {
		text = userInfo.ReplaceAllString(text, "${1}"+masked+"@")
	}
	if strings.ContainsAny(text, "=:") {
		text = credential.ReplaceAllString(text, "${1}"+masked)
	}
	return text
}

func redactAttr(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, redact(a.Value.String()))
	case slog.KindGroup:
		group := a.Value.Group()
		clean := make([]slog.Attr, len(group))
		for i, member := range group {
			clean[i] = redactAttr(member)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case nil:
			return a
		case error:
			return slog.String(a.Key, redact(v.Error()))
		default:
			return slog.String(a.Key, redact(fmt.Sprint(v)))
		}
	}
	return a
}
