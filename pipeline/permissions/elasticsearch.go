package permissions

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
)

// elasticsearchTimeout bounds the questions to a cluster.
const elasticsearchTimeout = 25 * time.Second

// ElasticsearchOptions say what a job does in a cluster.
type ElasticsearchOptions struct {
	Client elasticsearchio.Options
	// Indices have, by name or pattern, the privileges that are needed there.
	Indices map[string][]string
	// Templates says that the job puts index templates.
	Templates bool
}

// ElasticsearchSink asks the cluster for the user's privileges. OpenSearch and
// clusters without security cannot be asked; whether they answer is tried.
func ElasticsearchSink(property string, o ElasticsearchOptions) Probe {
	return func(ctx context.Context) Report {
		ctx, cancel := context.WithTimeout(ctx, elasticsearchTimeout)
		defer cancel()
		var cluster []string
		if o.Templates {
			cluster = []string{"manage_index_templates"}
		}
		var has elasticsearchio.Privileges
		err := o.Client.Check(ctx)
		if err == nil {
			has, err = askPrivileges(ctx, o, cluster)
		}
		var r Report
		add := func(action, resource string, granted bool) {
			p := Permission{Property: property, System: Elasticsearch, Action: action, Resource: resource, Outcome: Granted}
			switch {
			case errors.Is(err, elasticsearchio.ErrNoAnswer):
				p.Outcome, p.Why = Untried, elasticsearchio.ErrNoAnswer.Error()+", since it is OpenSearch or has no security"
			case err != nil:
				p.Outcome, p.Why = Failed, strings.ReplaceAll(err.Error(), "\n", "; ")
			case !granted:
				p.Outcome, p.Why = Refused, "user "+has.User+" has no such privilege"
			}
			r.Permissions = append(r.Permissions, p)
		}
		for _, privilege := range cluster {
			add(privilege, "cluster", has.Cluster[privilege])
		}
		for _, name := range slices.Sorted(maps.Keys(o.Indices)) {
			for _, privilege := range o.Indices[name] {
				add(privilege, "index "+name, has.Index[name][privilege])
			}
		}
		return r
	}
}

func askPrivileges(ctx context.Context, o ElasticsearchOptions, cluster []string) (elasticsearchio.Privileges, error) {
	client, err := elasticsearchio.New(ctx, o.Client)
	if err != nil {
		return elasticsearchio.Privileges{}, err
	}
	defer client.Close()
	return client.AskPrivileges(ctx, cluster, o.Indices)
}
