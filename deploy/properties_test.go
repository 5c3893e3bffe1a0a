package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// take has the job read a properties file and check it, as at its start, but
// for asking source and sinks.
func take(t *testing.T, text string) pipeline.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "application_properties.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := property.Load(property.Sources{File: path})
	if err != nil {
		t.Fatal(err)
	}
	c, err := pipeline.FromProperties(p, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheJobTakesThePropertiesOfTheConfigMap(t *testing.T) {
	text, err := os.ReadFile("kubernetes/properties.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "application_properties.json: |\n")
	if !ok {
		t.Fatal("there is no application_properties.json")
	}
	if c := take(t, block); c.S3.Bucket != "lake" || c.Readers != 16 {
		t.Errorf("the job reads the bucket %q and %d readers", c.S3.Bucket, c.Readers)
	}
}

// What CloudFormation fills in, by the text of its function in the template.
var filledIn = map[string]string{
	`{"Ref":"Stream"}`: "trips-Stream-1A2B3C", `{"Ref":"AWS::Region"}`: "eu-west-1", `{"Ref":"AWS::StackName"}`: "trips",
	`{"Fn::GetAtt":["Brokers","BootstrapServers"]}`:                             "b-1.trips.abc.c2.kafka.eu-west-1.amazonaws.com:9098,b-2.trips.abc.c2.kafka.eu-west-1.amazonaws.com:9098",
	`{"Fn::Join":["",["https://",{"Fn::GetAtt":["Search","DomainEndpoint"]}]]}`: "https://vpc-trips-abcdefghijklmnopqrstuvwxyz.eu-west-1.es.amazonaws.com",
}

func TestTheJobTakesThePropertiesOfTheTemplates(t *testing.T) {
	for _, name := range []string{"template.json", "template-full.json"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("aws", name))
			if err != nil {
				t.Fatal(err)
			}
			var template struct {
				Resources map[string]struct {
					Type       string
					Properties struct {
						ApplicationConfiguration struct {
							EnvironmentProperties struct {
								PropertyGroups []struct {
									PropertyGroupID string `json:"PropertyGroupId"`
									PropertyMap     map[string]any
								}
							}
						}
					}
				}
			}
			if err := json.Unmarshal(text, &template); err != nil {
				t.Fatal(err)
			}
			groups := template.Resources["Application"].Properties.ApplicationConfiguration.EnvironmentProperties.PropertyGroups
			if len(groups) != 1 {
				t.Fatalf("the application has the property groups %v", groups)
			}
			for property, value := range groups[0].PropertyMap {
				if _, isText := value.(string); isText {
					continue
				}
				function, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				known, ok := filledIn[string(function)]
				if !ok && property == "OutputBucket" { // its id has a hash
					known, ok = "trips-bucket83908e77-1a2b3c", true
				}
				if !ok {
					t.Errorf("%s is %s, which this test knows no value of", property, function)
				}
				groups[0].PropertyMap[property] = known
			}
			file, err := json.Marshal(groups)
			if err != nil {
				t.Fatal(err)
			}
			if c := take(t, string(file)); c.JobName != "trips" || c.Readers != 16 {
				t.Errorf("the job is %q with %d readers", c.JobName, c.Readers)
			}
		})
	}
}
