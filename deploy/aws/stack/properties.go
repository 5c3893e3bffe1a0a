package stack

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// propertyGroup is the group of runtime properties that the job reads.
const propertyGroup = "FlinkApplicationProperties"

// longestProperty is the longest value, in characters, that Managed Service for
// Apache Flink takes (API reference, PropertyGroup).
const longestProperty = 2048

// mostProperties is how many a group may have (the same).
const mostProperties = 50

// propertyNames lists the job's properties, a name a line. A test compares it
// with the job's own table. That table itself, with the checks of values, is not
// imported: its module's requirements would count here too, and with the
// golang.org/x/tools among them those of the CDK's runtime cannot be met.
//
//go:embed property_names.txt
var propertyNames string

// isProperty reports whether the job has a property of this name.
func isProperty(name string) bool {
	return name != "" && slices.Contains(strings.Fields(propertyNames), name)
}

// readProperties reads a file in the format of the service: a JSON array of
// property groups.
func readProperties(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the job's properties: %w", err)
	}
	var groups []struct {
		PropertyGroupID string `json:"PropertyGroupId"`
		PropertyMap     map[string]string
	}
	if err := json.Unmarshal(text, &groups); err != nil {
		return nil, fmt.Errorf("read the job's properties in %s: %w", path, err)
	}
	for _, g := range groups {
		if g.PropertyGroupID == propertyGroup {
			return g.PropertyMap, nil
		}
	}
	return nil, fmt.Errorf("read the job's properties in %s: it has no group %s", path, propertyGroup)
}

// checkProperty tells what keeps a property from working on the service, which
// gives a job neither files nor environment variables.
func checkProperty(name, value string) error {
	switch {
	case !isProperty(name):
		return fmt.Errorf("%s: the job has no such property", name)
	case name == "Parallelism":
		return fmt.Errorf("%s: it is a parameter of the stack (--parameters %[1]s=4), by which the service scales; the job would not follow it", name)
	case len(value) > longestProperty:
		return fmt.Errorf("%s: %d characters are more than the %d that a runtime property may have", name, len(value), longestProperty)
	case value == "":
		return fmt.Errorf("%s: a runtime property cannot be empty", name)
	case strings.HasSuffix(name, "From"), slices.Contains(fileProperties, name):
		return fmt.Errorf("%s: the service gives the job neither files nor environment variables; log in with the job's role", name)
	case (name == "EventSchema" || name == "ElasticsearchIndexTemplate") && !strings.HasPrefix(strings.TrimSpace(value), "{"):
		return fmt.Errorf("%s: the service gives the job no files; give the file's text", name)
	}
	return nil
}

// fileProperties name files that would have to be where the job runs.
var fileProperties = []string{
	"KafkaCaFile", "KafkaCertificateFile", "KafkaPrivateKeyFile",
	"OutputKafkaCaFile", "OutputKafkaCertificateFile", "OutputKafkaPrivateKeyFile",
	"ElasticsearchCaFile",
}

// job holds the job's properties: those that were given, and those that the
// stack adds for what it makes itself, whose values CloudFormation fills in.
type job map[string]*string

// newJob returns the given properties.
func newJob(given map[string]string) job {
	j := job{}
	for name, value := range given {
		j[name] = jsii.String(value)
	}
	return j
}

// fallback sets a property that was not given.
func (j job) fallback(name string, value *string) {
	if j[name] == nil {
		j[name] = value
	}
}

// check tells what keeps all properties together from working on the service.
func (j job) check() error {
	if len(j) > mostProperties {
		return fmt.Errorf("%d properties, with those that the stack sets, are more than the %d that the service takes", len(j), mostProperties)
	}
	return nil
}

// get returns a property's value, or "" if it has none. It may be a token of
// the CDK.
func (j job) get(name string) string {
	if v := j[name]; v != nil {
		return *v
	}
	return ""
}

// topicOf makes of a job's name that of a consumer or topic, as the job does
// (topicOf in pipeline/config_kafka.go). A token of the CDK is kept: the name of
// a stack, which it stands for, has nothing that is replaced.
func topicOf(name string) string {
	if *awscdk.Token_IsUnresolved(name) {
		return name
	}
	out := []byte(name)
	for i, b := range out {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '_' {
			out[i] = '-'
		}
	}
	const room = 200 // of 249, for what follows
	return string(out[:min(len(out), room)])
}

// either returns the first of two properties that has a value.
func (j job) either(a, b string) string {
	if v := j.get(a); v != "" {
		return v
	}
	return j.get(b)
}
