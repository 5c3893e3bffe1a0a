package permissions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// remedy is a text that can be pasted.
type remedy struct{ head, body string }

func (r *Report) remedies() []remedy {
	var out []remedy
	if p := r.iamPolicy(); p != nil {
		note := ""
		if strings.Contains(string(mustJSON(p)), account) {
			note = "; replace " + account + " with your account's number, and fill in what else is in capitals"
		}
		out = append(out, remedy{"Missing in the policy of the IAM identity" + note + ":", string(mustJSON(p))})
	}
	if c := r.kafkaCommands(); len(c) > 0 {
		out = append(out, remedy{"Missing access rules in Kafka, to be added by somebody who may alter them:", strings.Join(c, "\n")})
	}
	if role := r.role(); role != nil {
		out = append(out, remedy{"Missing in a role of the Elasticsearch user, to be added with PUT _security/role/streaming-etl:", string(mustJSON(role))})
	}
	return out
}

// mustJSON writes what was made here of texts and lists.
func mustJSON(v any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// account stands for an account's number that is not known.
const account = "ACCOUNT"

type iamPolicy struct {
	Version   string
	Statement []iamStatement
}

type iamStatement struct {
	Effect   string
	Action   []string
	Resource []string
}

// iamPolicy has a statement for each resource, nil if nothing is missing. It is
// of the type any, so that none is a nil of JSON too.
func (r *Report) iamPolicy() any {
	by := map[string][]string{}
	var resources []string
	for _, p := range r.Missing() {
		if p.System != IAM {
			continue
		}
		if by[p.Resource] == nil {
			resources = append(resources, p.Resource)
		}
		if !slices.Contains(by[p.Resource], p.Action) {
			by[p.Resource] = append(by[p.Resource], p.Action)
		}
	}
	if len(resources) == 0 {
		return nil
	}
	policy := iamPolicy{Version: "2012-10-17"}
	for _, resource := range resources {
		policy.Statement = append(policy.Statement, iamStatement{"Allow", by[resource], []string{resource}})
	}
	return policy
}

// kafkaCommands has a command of Kafka's kafka-acls.sh for each resource.
func (r *Report) kafkaCommands() []string {
	type target struct {
		resource string
		prefixed bool
	}
	operations := map[target][]string{}
	var order []target
	for _, p := range r.Missing() {
		if p.System != KafkaACL {
			continue
		}
		t := target{p.Resource, p.prefixed}
		if operations[t] == nil {
			order = append(order, t)
		}
		if !slices.Contains(operations[t], p.Action) {
			operations[t] = append(operations[t], p.Action)
		}
	}
	var out []string
	for _, t := range order {
		kind, name, _ := strings.Cut(t.resource, " ")
		command := fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal %s --%s %s", shell(r.brokers), shell(r.principal), kind, shell(name))
		if t.prefixed {
			command += " --resource-pattern-type prefixed"
		}
		for _, o := range operations[t] {
			command += " --operation " + o
		}
		out = append(out, command)
	}
	return out
}

// shell quotes what a shell would not take as it is.
func shell(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:,/=@") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

type esRole struct {
	Cluster []string  `json:"cluster,omitempty"`
	Indices []esIndex `json:"indices,omitempty"`
}

type esIndex struct {
	Names      []string `json:"names"`
	Privileges []string `json:"privileges"`
}

// role is a role of Elasticsearch, nil if nothing is missing.
func (r *Report) role() any {
	var role esRole
	for _, p := range r.Missing() {
		if p.System != Elasticsearch {
			continue
		}
		name, isIndex := strings.CutPrefix(p.Resource, "index ")
		if !isIndex {
			role.Cluster = append(role.Cluster, p.Action)
			continue
		}
		i := slices.IndexFunc(role.Indices, func(x esIndex) bool { return x.Names[0] == name })
		if i < 0 {
			i = len(role.Indices)
			role.Indices = append(role.Indices, esIndex{Names: []string{name}})
		}
		role.Indices[i].Privileges = append(role.Indices[i].Privileges, p.Action)
	}
	if len(role.Cluster)+len(role.Indices) == 0 {
		return nil
	}
	return role
}
