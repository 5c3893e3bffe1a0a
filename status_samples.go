package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

const (
	// sampleTimeout is how long a look waits for samples of dead letters.
	sampleTimeout = 5 * time.Second
	// sampleInterval is the least time between two searches for samples.
	sampleInterval = 30 * time.Second
	// maxSamples bounds the samples where the cluster tells no reasons.
	maxSamples = 20
	// samplePayload is how much of a sample's event is given, in bytes.
	samplePayload = 1024
)

// sampleView is a dead letter that stands for those of its reason.
type sampleView struct {
	letterJSON
	// Cut says that Payload is the beginning of the event only.
	Cut bool `json:"payload_cut,omitempty"`
}

// sampler finds samples of dead letters where the job has put them: the cluster
// knows only how many there are.
type sampler struct {
	place deadletters.Options
	asked time.Time
	found map[string]sampleView
}

// newSampler takes the properties of the job that are among the arguments, in
// the environment and in the file. Without any it returns nil and no error.
func newSampler(file string, env, args []string) (*sampler, error) {
	if file != "" {
		args = append([]string{"--properties=" + file}, args...)
	}
	p, err := property.Load(property.Sources{File: property.DefaultFile, Env: env, Args: args})
	if err == nil {
		var c pipeline.Config
		if c, err = pipeline.FromProperties(p, false); err == nil {
			var o deadletters.Options
			if o, err = c.DeadLetters(); err == nil {
				return &sampler{place: o, found: map[string]sampleView{}}, nil
			}
		}
	}
	if len(args) == 0 {
		return nil, nil // what is in file and environment may be of no job
	}
	return nil, err
}

// samples returns a sample of each of the reasons that it has, and asks for
// those that it has not. Without reasons, since the job's tasks do not run, it
// asks for those that there are.
func (s *sampler) samples(ctx context.Context, by map[string]int64, now time.Time) ([]sampleView, error) {
	reasons := slices.Sorted(maps.Keys(by))
	missing := slices.DeleteFunc(slices.Clone(reasons), func(r string) bool { _, ok := s.found[r]; return ok })
	var err error
	if (len(missing) > 0 || len(by) == 0 && len(s.found) == 0) && now.Sub(s.asked) >= sampleInterval {
		s.asked = now
		err = s.search(ctx, missing)
	}
	if len(reasons) == 0 {
		reasons = slices.Sorted(maps.Keys(s.found))
	}
	out := []sampleView{}
	for _, r := range reasons {
		if v, ok := s.found[r]; ok {
			out = append(out, v)
		}
	}
	return out, err
}

func (s *sampler) search(ctx context.Context, reasons []string) error {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	box, err := deadletters.Open(ctx, s.place)
	if err != nil {
		return err
	}
	defer box.Close()
	found, err := box.Samples(ctx, reasons, maxSamples)
	for i := range found {
		s.found[found[i].Reason] = newSampleView(&found[i])
	}
	return err
}

func newSampleView(e *deadletters.Entry) sampleView {
	v := sampleView{Cut: len(e.Payload) > samplePayload}
	if v.Cut {
		e.Payload = e.Payload[:samplePayload]
		for len(e.Payload) > samplePayload-utf8.UTFMax && !utf8.Valid(e.Payload) {
			e.Payload = e.Payload[:len(e.Payload)-1] // a character that was cut through
		}
	}
	v.letterJSON = newLetterJSON(e)
	return v
}

// splitProperties parts the job's properties, whose names begin with a capital
// letter, from a command's own flags.
func splitProperties(args []string) (flags, properties []string) {
	for i := 0; i < len(args); i++ {
		name := strings.TrimLeft(args[i], "-")
		first, _ := utf8.DecodeRuneInString(name)
		if !strings.HasPrefix(args[i], "-") || !unicode.IsUpper(first) {
			flags = append(flags, args[i])
			continue
		}
		properties = append(properties, args[i])
		if !strings.Contains(name, "=") && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			properties = append(properties, args[i])
		}
	}
	return flags, properties
}
