package nearest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"OutputBucket", "OutputBucketRegion", "Region", "InputReaders"}
	tests := []struct{ name, want string }{
		{"OutputBuket", "OutputBucket"},
		{"outputbucket", "OutputBucket"},
		{"OutputBucketRegio", "OutputBucketRegion"},
		{"Regoin", "Region"},
		{"Reader", ""},
		{"", ""},
		{"x", ""},
		{strings.Repeat("OutputBucket", 100), ""},
	}
	for _, tt := range tests {
		if got := Of(tt.name, names); got != tt.want {
			t.Errorf("Of(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0},
	}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
