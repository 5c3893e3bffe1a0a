package stack

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clusterID is a UUID as Kafka writes it. Each cluster may have the same: they never meet.
const clusterID = "c3RyZWFtaW5nLWV0bC0wMQ"

// controllers is the listener by which the controllers talk, fronted the one that proxies pass on to.
const (
	controllers = "CONTROLLER"
	fronted     = "FRONT"
)

// listeners are the names of a broker's listeners, each that of its protocol but the controllers' and the fronts'.
func (o KafkaOptions) listeners() []string {
	listeners := []string{"PLAINTEXT", controllers}
	if o.Security != nil {
		listeners = append(listeners, "SSL", "SASL_PLAINTEXT", "SASL_SSL")
	}
	if len(o.Fronts) > 0 {
		listeners = append(listeners, fronted)
	}
	return listeners
}

// settings returns a broker's server.properties.
func (k *KafkaCluster) settings(i int) string {
	settings := map[string]string{
		"process.roles":                    "broker,controller",
		"node.id":                          strconv.Itoa(i),
		"log.dirs":                         k.brokerDir(i) + "/data",
		"controller.listener.names":        controllers,
		"inter.broker.listener.name":       "PLAINTEXT",
		"auto.create.topics.enable":        "false",
		"group.initial.rebalance.delay.ms": "0",
		// A killed broker is missed sooner than after the default of 9 s, though not for a pause of a busy machine.
		"broker.session.timeout.ms":    "6000",
		"broker.heartbeat.interval.ms": "1000",
		// Small, for the machine that has to run other servers too. The default of the cleaner's buffer is 128 MiB.
		"log.cleaner.dedupe.buffer.size":               "4194304",
		"num.network.threads":                          "2",
		"num.io.threads":                               "4",
		"offsets.topic.num.partitions":                 "4",
		"transaction.state.log.num.partitions":         "4",
		"share.coordinator.state.topic.num.partitions": "1",
	}
	replicas, inSync := min(k.options.Brokers, 3), 1
	if replicas == 3 {
		inSync = 2
	} else {
		replicas = 1
	}
	for _, name := range []string{
		"default.replication.factor", "offsets.topic.replication.factor", "transaction.state.log.replication.factor",
		"share.coordinator.state.topic.replication.factor",
	} {
		settings[name] = strconv.Itoa(replicas)
	}
	for _, name := range []string{"min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"} {
		settings[name] = strconv.Itoa(inSync)
	}
	if n := k.options.MaxMessageBytes; n > 0 {
		settings["message.max.bytes"] = strconv.Itoa(n)
		settings["replica.fetch.max.bytes"] = strconv.Itoa(n)
	}
	k.addListeners(settings, i)
	if s := k.options.Security; s != nil {
		s.add(settings, k.certificates)
	}
	maps.Copy(settings, k.options.Settings)

	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s=%s\n", name, strings.ReplaceAll(settings[name], `\`, `\\`))
	}
	return lines.String()
}

// addListeners adds where the broker listens and where the controllers are.
func (k *KafkaCluster) addListeners(settings map[string]string, i int) {
	var listeners, advertised, protocols, voters []string
	for _, name := range k.options.listeners() {
		listener := name + "://" + loopback(k.brokers[i].ports[name])
		listeners = append(listeners, listener)
		if name == controllers {
			protocols = append(protocols, name+":PLAINTEXT")
			continue
		}
		if name == fronted {
			advertised = append(advertised, name+"://"+k.options.Fronts[i])
			protocols = append(protocols, name+":PLAINTEXT")
			continue
		}
		advertised = append(advertised, listener)
		protocols = append(protocols, name+":"+name)
	}
	for n := range k.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", n, loopback(k.brokers[n].ports[controllers])))
	}
	settings["listeners"] = strings.Join(listeners, ",")
	settings["advertised.listeners"] = strings.Join(advertised, ",")
	settings["listener.security.protocol.map"] = strings.Join(protocols, ",")
	settings["controller.quorum.voters"] = strings.Join(voters, ",")
}

// add adds the settings of the listeners with security. Whoever comes by the listener without it may do all, the
// others what no access control list denies them.
func (s *KafkaSecurity) add(settings map[string]string, c Certificates) {
	settings["ssl.keystore.type"] = "PEM"
	settings["ssl.keystore.location"] = c.ServerFile
	settings["ssl.truststore.type"] = "PEM"
	settings["ssl.truststore.location"] = c.CAFile
	if s.ClientCertificate {
		settings["listener.name.ssl.ssl.client.auth"] = "required"
	}
	settings["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	settings["super.users"] = "User:ANONYMOUS"
	settings["allow.everyone.if.no.acl.found"] = "true"

	settings["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"
	const modules = "org.apache.kafka.common.security."
	var users strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		fmt.Fprintf(&users, " user_%s=%q", name, s.Users[name])
	}
	for mechanism, module := range map[string]string{
		"plain":         "plain.PlainLoginModule required" + users.String(),
		"scram-sha-256": "scram.ScramLoginModule required",
		"scram-sha-512": "scram.ScramLoginModule required",
		"oauthbearer":   `oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"`,
	} {
		for _, listener := range []string{"sasl_ssl", "sasl_plaintext"} {
			settings["listener.name."+listener+"."+mechanism+".sasl.jaas.config"] = modules + module + ";"
		}
	}
}

// scramUsers are the arguments of the format that make the users.
func (o KafkaOptions) scramUsers() []string {
	if o.Security == nil {
		return nil
	}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(o.Security.Users)) {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, o.Security.Users[name]))
		}
	}
	return args
}

// UnsignedToken returns a token for OAUTHBEARER that makes its bearer the user, for as long as said.
func UnsignedToken(user string, lifetime time.Duration) string {
	now := time.Now()
	claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, user, now.Unix(), now.Add(lifetime).Unix())
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + "."
}
