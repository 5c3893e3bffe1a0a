package pipeline

import (
	"strings"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// writeElasticsearch reads the properties of the Elasticsearch sink.
func (c *Config) writeElasticsearch(p *property.Set) {
	if !p.Given("OutputElasticsearchEndpoint") {
		return
	}
	auth := elasticsearchio.Auth(p.Get("ElasticsearchAuth"))
	if auth == "AUTO" {
		auth = elasticsearchio.AuthByHost
	}
	service := strings.ToLower(p.Get("ElasticsearchSigningService"))
	if service == "auto" {
		service = "" // by host
	}
	e := &ElasticsearchSink{
		Client: elasticsearchio.Options{
			Endpoints:   list(p.Get("OutputElasticsearchEndpoint")),
			Auth:        auth,
			Region:      p.Get("ElasticsearchRegion"),
			Service:     service,
			Username:    p.Get("ElasticsearchUsername"),
			Password:    secretPlace(p.Get("ElasticsearchPasswordFrom")),
			APIKey:      secretPlace(p.Get("ElasticsearchApiKeyFrom")),
			CAFile:      p.Get("ElasticsearchCaFile"),
			MaxBytes:    int(p.Size("ElasticsearchBulkFlushMaxSizeMb")),
			MaxActions:  p.Int("ElasticsearchBulkFlushMaxActions"),
			Interval:    p.Duration("ElasticsearchBulkFlushInterval"),
			Concurrency: p.Int("ElasticsearchConcurrency"),
		},
		Index:       p.Get("ElasticsearchIndex"),
		ID:          p.Get("ElasticsearchDocumentId"),
		Version:     p.Get("ElasticsearchVersion"),
		Routing:     p.Get("ElasticsearchRouting"),
		Pipeline:    p.Get("ElasticsearchPipeline"),
		Operation:   p.Get("ElasticsearchOperation"),
		DeleteField: p.Get("ElasticsearchDeleteField"),
		DeleteValue: p.Get("ElasticsearchDeleteValue"),
		Typed:       p.Get("ElasticsearchDocument") == "TYPED",
	}
	var ok bool
	if e.IndexTemplate, ok = textOf(p, "ElasticsearchIndexTemplate"); ok && e.IndexTemplate != "" {
		addFault(p, "ElasticsearchIndexTemplate", elasticsearchio.CheckTemplate([]byte(e.IndexTemplate)))
	}
	if e.Version != "" && e.Operation != "index" {
		p.Add(property.Mistake{Property: "ElasticsearchVersion", Problem: "requires ElasticsearchOperation=index: Elasticsearch has no versions for " + e.Operation})
	}
	if e.Pipeline != "" && e.Operation == "update" {
		p.Add(property.Mistake{Property: "ElasticsearchPipeline", Problem: "requires ElasticsearchOperation=index or create: Elasticsearch sends updates through no named pipeline"})
	}
	if checkElasticsearchLogin(p, auth) && p.Valid("OutputElasticsearchEndpoint") {
		addFault(p, "OutputElasticsearchEndpoint", e.Client.Validate())
	}
	c.Elasticsearch = e
}

// checkElasticsearchLogin tells what a login lacks by the property that would give it.
func checkElasticsearchLogin(p *property.Set, auth elasticsearchio.Auth) bool {
	const place = "env:NAME or file:/path"
	ok := true
	if auth == elasticsearchio.Basic || p.Given("ElasticsearchPasswordFrom") {
		ok = goesWith(p, "ElasticsearchUsername", "a password goes with it", "a user's name")
	}
	if auth == elasticsearchio.Basic || p.Given("ElasticsearchUsername") {
		ok = goesWith(p, "ElasticsearchPasswordFrom", "the user name goes with a password", place) && ok
	}
	if auth == elasticsearchio.APIKey {
		ok = goesWith(p, "ElasticsearchApiKeyFrom", "ElasticsearchAuth is API_KEY", place) && ok
	}
	return ok
}
