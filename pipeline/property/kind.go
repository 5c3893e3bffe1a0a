package property

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/internal/nearest"
)

const megabyte = 1 << 20

// verdict is what the check of a value found.
type verdict struct {
	// canonical is the value in the one form of all that mean the same.
	canonical string
	// problem is empty for a good value.
	problem string
	// suggestion is a value that was probably meant.
	suggestion string
}

// check reads a value's text by the property's kind and limits.
func (p *Property) check(text string) verdict {
	good := verdict{canonical: text}
	switch {
	case text == "" && p.AllowEmpty:
		return good
	case text == "":
		return verdict{problem: "is empty; leave it out for the default"}
	case !utf8.ValidString(text):
		return verdict{problem: "is not UTF-8 text"}
	case strings.ContainsFunc(text, unicode.IsControl):
		return verdict{problem: "has control characters in it"}
	}
	var v verdict
	switch p.Kind {
	case Int:
		v = p.checkInt(text, func(string) string { return "" })
	case Millis:
		v = p.checkInt(text, suggestMillis)
	case Megabytes:
		v = p.checkInt(text, suggestMegabytes)
	case Float:
		v = p.checkFloat(text)
	case Bool:
		v = checkBool(text)
	case Enum:
		v = p.checkEnum(text)
	case Time:
		v = checkTime(text)
	case URL:
		v = checkURL(text)
	case Bucket:
		_, _, problem := parseBucket(text)
		v = verdict{canonical: text, problem: problem}
	default:
		v = good
	}
	if v.problem == "" && p.Check != nil {
		v.problem = p.Check(text)
	}
	return v
}

func (p *Property) checkInt(text string, suggest func(string) string) verdict {
	n, err := strconv.ParseInt(text, 10, 64)
	// On ErrRange n is the nearest int64, which the limits below refuse.
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return verdict{problem: "is not a whole number", suggestion: suggest(text)}
	}
	switch {
	case n < p.Min:
		return verdict{problem: "is too small"}
	case n > p.Max:
		return verdict{problem: "is too large"}
	}
	return verdict{canonical: strconv.FormatInt(n, 10)}
}

// suggestMillis reads "60s" or "1m30s" as the milliseconds that were meant.
func suggestMillis(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d%time.Millisecond != 0 {
		return ""
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// suggestMegabytes reads "128MB", "128 MiB" or "128m" as the number that was meant.
func suggestMegabytes(text string) string {
	number := strings.TrimRight(strings.ToLower(text), "mib ")
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n > 0 {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

func (p *Property) checkFloat(text string) verdict {
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange), math.IsNaN(f):
		return verdict{problem: "is not a number"}
	case f < float64(p.Min):
		return verdict{problem: "is too small"}
	case f > float64(p.Max):
		return verdict{problem: "is too large"}
	}
	return verdict{canonical: strconv.FormatFloat(f, 'g', -1, 64)}
}

// checkBool takes the two words only: 1, yes or on might be a slip in the name.
func checkBool(text string) verdict {
	if isBool(text) {
		return verdict{canonical: strings.ToLower(text)}
	}
	return verdict{problem: "is neither true nor false"}
}

func isBool(text string) bool {
	return strings.EqualFold(text, "true") || strings.EqualFold(text, "false")
}

func (p *Property) checkEnum(text string) verdict {
	for _, v := range p.Values {
		if v == text {
			return verdict{canonical: text}
		}
	}
	return verdict{problem: "is not one of the values", suggestion: nearest.Of(text, p.Values)}
}

func checkTime(text string) verdict {
	t, err := parseTime(text)
	if err != nil {
		v := verdict{problem: "is not an ISO-8601 time with its zone"}
		for _, suffix := range []string{"Z", "T00:00:00Z"} { // without its zone, or a date alone
			if _, err := parseTime(text + suffix); err == nil {
				v.suggestion = text + suffix
			}
		}
		return v
	}
	if t.Unix() < 0 {
		return verdict{problem: "is before 1970"}
	}
	return verdict{canonical: text}
}

// parseTime reads RFC 3339. The time package lets two slips pass that the
// standard does not have: hours of one digit, and a comma before the fraction.
func parseTime(text string) (time.Time, error) {
	const untilHour = len("2006-01-02T15")
	if len(text) <= untilHour || text[untilHour] != ':' || strings.Contains(text, ",") {
		return time.Time{}, errors.New("hours have two digits, fractions a point")
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err
}

// credentialsInURL is the problem of a URL with a login.
const credentialsInURL = "has credentials in it"

func checkURL(text string) verdict {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		v := verdict{problem: "is not an http or https URL"}
		// "localhost:4566" parses as scheme and rest, or not at all.
		if !strings.Contains(text, "://") && !strings.Contains(text, "@") && checkURL("http://"+text).problem == "" {
			v.suggestion = "http://" + text
		}
		return v
	case u.User != nil:
		return verdict{problem: credentialsInURL + "; they come from the AWS credential chain"}
	case u.Hostname() == "":
		return verdict{problem: "names no host"}
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return verdict{problem: "has a query or a fragment"}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return verdict{problem: "has a port that does not exist"}
		}
	}
	return verdict{canonical: text}
}

// parseBucket splits "bucket" or "s3://bucket/prefix/" and names the first
// problem. The prefix of a URI is a folder: a missing / at its end is added.
func parseBucket(text string) (bucket, prefix, problem string) {
	rest, isURI := strings.CutPrefix(text, "s3://")
	if !isURI {
		if strings.ContainsAny(text, ":/") {
			return "", "", "is neither a bucket's name nor an s3:// URI"
		}
		return text, "", checkBucketName(text)
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	if problem = checkBucketName(bucket); problem == "" {
		problem = checkPrefix(prefix)
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return bucket, prefix, problem
}

// checkBucketName follows the naming rules of general purpose buckets in the
// Amazon S3 user guide; aliases of access points obey them too.
func checkBucketName(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	switch {
	case len(name) < 3 || len(name) > 63:
		return "has a bucket name that does not have 3 to 63 characters"
	case !only(name, letters+".-"):
		return "has a bucket name with characters other than a-z 0-9 . -"
	case !strings.Contains(letters, name[:1]) || !strings.Contains(letters, name[len(name)-1:]):
		return "has a bucket name that does not begin and end with a letter or a digit"
	case strings.Contains(name, ".."):
		return "has a bucket name with two dots in a row"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "has a bucket name like an IP address"
	}
	return ""
}

// only reports whether s consists of characters of set.
func only(s, set string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) }) < 0
}

// checkPrefix keeps keys readable for everyone: S3 takes nearly anything, but
// many tools cannot reach empty, . and .. folders. A key has 1,024 bytes, of
// which half are left to the path and the file's name: see route.Config.MaxPath.
func checkPrefix(prefix string) string {
	switch {
	case len(prefix) > 512:
		return "is longer than 512 bytes"
	case strings.HasPrefix(prefix, "/"):
		return "begins with /"
	case strings.Contains(prefix, "//"):
		return "has an empty folder in it"
	}
	for folder := range strings.SplitSeq(prefix, "/") {
		if folder == "." || folder == ".." {
			return fmt.Sprintf("has a folder named %s in it", folder)
		}
	}
	return ""
}

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

// checkStream takes a stream's name or arn:partition:kinesis:region:account:stream/name.
func checkStream(text string) string {
	name := text
	if strings.HasPrefix(text, "arn:") {
		parts := strings.SplitN(text, ":", 6)
		if len(parts) != 6 || !strings.HasPrefix(parts[1], "aws") || parts[2] != "kinesis" ||
			parts[3] == "" || checkRegion(parts[3]) != "" || len(parts[4]) != 12 || !only(parts[4], "0123456789") ||
			!strings.HasPrefix(parts[5], "stream/") {
			return "is not the ARN of a Kinesis stream (arn:aws:kinesis:region:account:stream/name)"
		}
		name = strings.TrimPrefix(parts[5], "stream/")
	}
	if len(name) < 1 || len(name) > 128 || !only(name, nameLetters) {
		return "is not a stream's name"
	}
	return ""
}

const allowedRegion = "a region's name, such as eu-central-1"

// checkRegion takes any region's form: new ones appear, and local servers have their own.
func checkRegion(text string) string {
	if len(text) > 63 || !only(text, "abcdefghijklmnopqrstuvwxyz0123456789-") {
		return "is not a region's name"
	}
	return ""
}

// checkFolder wants a path that is the same from wherever a process was started.
func checkFolder(text string) string {
	if !path.IsAbs(text) {
		return "is not an absolute path"
	}
	return ""
}

// checkJobName keeps the name fit for S3 metadata, which is ASCII.
func checkJobName(text string) string {
	for _, r := range text {
		if r < ' ' || r > '~' {
			return "has characters that are not printable ASCII"
		}
	}
	if len(text) > 128 {
		return "is longer than 128 characters"
	}
	return ""
}

// allowed says in words what the property takes.
func (p *Property) allowed() string {
	if p.Allowed != "" {
		return p.Allowed
	}
	switch p.Kind {
	case Int:
		return fmt.Sprintf("a whole number from %d to %d", p.Min, p.Max)
	case Float:
		return fmt.Sprintf("a number from %d to %d", p.Min, p.Max)
	case Bool:
		return "true or false"
	case Millis:
		return fmt.Sprintf("%d to %d ms", p.Min, p.Max)
	case Megabytes:
		return fmt.Sprintf("%d to %d MB", p.Min, p.Max)
	case Enum:
		last := len(p.Values) - 1
		return strings.Join(p.Values[:last], ", ") + " or " + p.Values[last]
	case Time:
		return "an ISO-8601 time with its zone, such as 2018-01-15T08:00:00Z"
	case URL:
		return "an http or https URL, such as http://localhost:4566"
	case Bucket:
		return "a bucket's name or s3://bucket/prefix/"
	case Path:
		return "the path of a file"
	default:
		return "text"
	}
}
