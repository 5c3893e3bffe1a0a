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
// clusters without security cannot be asked: there documents are written in a
// way that changes nothing.
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
		var trials map[string]elasticsearchio.Trial
		if errors.Is(err, elasticsearchio.ErrNoAnswer) {
			trials = tryIndices(ctx, o)
		}
		var r Report
		add := func(action, resource string, granted bool) {
			p := Permission{Property: property, System: Elasticsearch, Action: action, Resource: resource, Outcome: Granted}
			switch {
			case errors.Is(err, elasticsearchio.ErrNoAnswer):
				p.Outcome, p.Why = tried(trials, action, resource)
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

// tryIndices tries to write to each index, by name. One of a pattern's is tried
// by a name that the pattern takes; of a pattern of all names none is.
func tryIndices(ctx context.Context, o ElasticsearchOptions) map[string]elasticsearchio.Trial {
	out := map[string]elasticsearchio.Trial{}
	client, err := elasticsearchio.New(ctx, o.Client)
	for name := range o.Indices {
		switch prefix := strings.TrimSuffix(name, "*"); {
		case err != nil:
			out[name] = elasticsearchio.Trial{Write: err, Delete: err}
		case prefix == "" || strings.Contains(prefix, "*"):
			out[name] = elasticsearchio.Trial{Write: elasticsearchio.ErrNoTrial, Delete: elasticsearchio.ErrNoTrial}
		case prefix != name:
			out[name] = client.TryWriting(ctx, prefix+"streaming-etl-check")
		default:
			out[name] = client.TryWriting(ctx, name)
		}
	}
	if err == nil {
		client.Close()
	}
	return out
}

// tried is the outcome of what was tried instead of asked for.
func tried(trials map[string]elasticsearchio.Trial, privilege, resource string) (Outcome, string) {
	name, _ := strings.CutPrefix(resource, "index ")
	trial, isIndex := trials[name]
	var err error
	switch {
	case isIndex && (privilege == "index" || privilege == "create_doc"):
		err = trial.Write
	case isIndex && privilege == "delete":
		err = trial.Delete
	default:
		return Untried, elasticsearchio.ErrNoAnswer.Error() + ", since it is OpenSearch or has no security"
	}
	var e *elasticsearchio.Error
	switch {
	case err == nil:
		return Granted, ""
	case errors.Is(err, elasticsearchio.ErrNoTrial):
		return Untried, err.Error()
	case errors.As(err, &e) && e.Denied():
		return Refused, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return Failed, strings.ReplaceAll(err.Error(), "\n", "; ")
}

func askPrivileges(ctx context.Context, o ElasticsearchOptions, cluster []string) (elasticsearchio.Privileges, error) {
	client, err := elasticsearchio.New(ctx, o.Client)
	if err != nil {
		return elasticsearchio.Privileges{}, err
	}
	defer client.Close()
	return client.AskPrivileges(ctx, cluster, o.Indices)
}
