package pipeline

import (
	"reflect"
	"testing"
	"time"
)

// Each client has a deadline of its own: one that stays at its default restarts
// the job every five minutes.
func TestOnAClusterEveryClientWaitsForHours(t *testing.T) {
	c := configure(t, "--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=trips", "--OutputBucket=lake", "--Region=eu-west-1",
		"--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=clean", "--OutputElasticsearchEndpoint=http://search:9200", "--OutputKinesisStream=copies")
	seen := 0
	var each func(v reflect.Value, path string, want time.Duration)
	each = func(v reflect.Value, path string, want time.Duration) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				each(v.Elem(), path, want)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				name := v.Type().Field(i).Name
				if name == "RetryDeadline" {
					seen++
					if got := time.Duration(v.Field(i).Int()); got != want {
						t.Errorf("%s.%s is %s, want %s", path, name, got, want)
					}
				}
				each(v.Field(i), path+"."+name, want)
			}
		}
	}
	each(reflect.ValueOf(c), "", 0) // the local runner's clients have their defaults
	c.waitOutages()
	each(reflect.ValueOf(c), "", outagePatience)
	if seen != 2*5 {
		t.Errorf("%d deadlines, want those of two sources and three sinks, twice", seen)
	}
	if c.Patience != outagePatience {
		t.Errorf("S3 is waited for for %s", c.Patience)
	}
}
