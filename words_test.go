package main

import (
	"strings"
	"testing"
)

func TestErrorsOfStepsAreToldWithoutWhatBeamWritesBefore(t *testing.T) {
	// As it comes from a cluster.
	const message = "Failed to finish remote bundle: Error received from SDK harness for instruction 315: process bundle failed for instruction 315 using plan 24-14 : while executing FinishBundle for Plan[24-14]:\n" +
		"1: DataSource[S[fn/read/n13:0@localhost:37727], local_output] Out:2 Coder:W;fn/wire/n13:0<KV;c3<varint;c2,bytes;c0>>!GWC \n" +
		"2: ParDo[pipeline.commitLanesFn] Out:[] Sig: func(context.Context, state.Provider, int64, []uint8) error, SideInputs: []\n\tcaused by:\n" +
		"DoFn[UID:2, PID:e13, Name: github.com/streaming-etl/streaming-etl/pipeline.commitLanesFn] failed:\n" +
		"OutputKafkaTopic: write to Kafka: lane 1: another worker has taken over"
	if got, want := inWords(message), "OutputKafkaTopic: write to Kafka: lane 1: another worker has taken over"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := inWords("java.io.IOException:\n\tdisk full"); got != "java.io.IOException: disk full" {
		t.Errorf("%q", got)
	}
	if got := inWords(strings.Repeat("é", 1000)); len([]rune(got)) != longestWords || !strings.HasSuffix(got, "…") {
		t.Errorf("%d characters", len([]rune(got)))
	}
}
