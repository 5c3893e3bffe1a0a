package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

func TestASubmissionCarriesTheTextOfFiles(t *testing.T) {
	dir := t.TempDir()
	schema, template := filepath.Join(dir, "e.avsc"), filepath.Join(dir, "t.json")
	for name, text := range map[string]string{
		schema:   "{\n  \"type\": \"record\", \"name\": \"E\", \"fields\": [{\"name\": \"id\", \"type\": \"string\"}]\n}\n",
		template: "\n{\"index_templates\": {\"events\": {\n  \"index_patterns\": [\"events-*\"]}}}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(args []string) *property.Set {
		t.Helper()
		p, err := property.Load(property.Sources{Args: args})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	args, err := portableArgs(load([]string{"--EventSchema=" + schema, "--ElasticsearchIndexTemplate=" + template, "--ElasticsearchIndex=events-1",
		"--ElasticsearchDocumentId={id}", "--OutputElasticsearchEndpoint=http://es:9200", "--InputKinesisStream=events", "--Region=us-east-1"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`--EventSchema={"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}`,
		`--ElasticsearchIndexTemplate={"index_templates":{"events":{"index_patterns":["events-*"]}}}`,
	} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is not among %q", want, args)
		}
	}
	// The files are not where the job is built.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c, err := pipeline.FromProperties(load(args), false)
	if err != nil || c.Elasticsearch.IndexTemplate == "" {
		t.Errorf("the job is built of %+v, %v", c.Elasticsearch, err)
	}
}
