package stack

import (
	"os"
	"strings"
	"testing"
)

func TestBrokersSendClientsToTheirFronts(t *testing.T) {
	fronts := []string{"127.0.0.1:1001", "127.0.0.1:1002"}
	k := &KafkaCluster{options: KafkaOptions{Brokers: 2, Fronts: fronts}, dir: t.TempDir(), brokers: make([]broker, 2)}
	if err := k.configure(); err != nil {
		t.Fatal(err)
	}
	for i, address := range k.Addresses("FRONT") {
		content, err := os.ReadFile(k.settingsFile(i))
		if err != nil {
			t.Fatal(err)
		}
		settings := make(map[string]string)
		for line := range strings.Lines(string(content)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			settings[name] = value
		}
		if got := settings["listeners"]; !strings.HasSuffix(got, ",FRONT://"+address) {
			t.Errorf("broker %d listens at %s, want %s too", i, got, address)
		}
		if got := settings["advertised.listeners"]; !strings.HasSuffix(got, ",FRONT://"+fronts[i]) || strings.Contains(got, address) {
			t.Errorf("broker %d tells clients %s, want %s", i, got, fronts[i])
		}
		if got := settings["listener.security.protocol.map"]; !strings.Contains(got, "FRONT:PLAINTEXT") {
			t.Errorf("protocols %s", got)
		}
	}
	if got := len(k.Addresses("FRONT")); got != len(fronts) {
		t.Errorf("%d brokers have a front", got)
	}
}

func TestEachBrokerHasAFront(t *testing.T) {
	if _, err := (KafkaOptions{Brokers: 3, Fronts: []string{"127.0.0.1:1"}}).withDefaults(); err == nil {
		t.Error("one front of three brokers is taken")
	}
}
