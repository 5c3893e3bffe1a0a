package stack

import (
	"net/url"
	"regexp"
)

// searchName is what a name of Amazon's search services says of a domain or
// collection.
type searchName struct {
	service, region, resource, name string
}

var (
	domainHost     = regexp.MustCompile(`^(?:search|vpc)-([a-z][a-z0-9-]{2,27})-[a-z0-9]{26}\.([a-z0-9-]+)\.es\.amazonaws\.com(?:\.cn)?$`)
	collectionHost = regexp.MustCompile(`^([a-z0-9]+)\.([a-z0-9-]+)\.aoss\.amazonaws\.com$`)
)

// searchDomain returns what the host of an endpoint says, or nil where it is a
// name of the user's own.
func searchDomain(endpoint string) *searchName {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil
	}
	if m := domainHost.FindStringSubmatch(u.Hostname()); m != nil {
		return &searchName{service: "es", region: m[2], resource: "domain", name: m[1]}
	}
	if m := collectionHost.FindStringSubmatch(u.Hostname()); m != nil {
		return &searchName{service: "aoss", region: m[2], resource: "collection", name: m[1]}
	}
	return nil
}

var amazonHost = regexp.MustCompile(`\.(es|aoss)\.amazonaws\.com(\.cn)?$`)

// signed tells whether the job signs its requests to the search service, as
// ElasticsearchAuth says or, with AUTO, the endpoint's name.
func signed(properties map[string]string) bool {
	switch properties["ElasticsearchAuth"] {
	case "SIGV4":
		return true
	case "", "AUTO":
		u, err := url.Parse(properties["OutputElasticsearchEndpoint"])
		return err == nil && amazonHost.MatchString(u.Hostname()) && properties["ElasticsearchUsername"] == ""
	}
	return false
}
