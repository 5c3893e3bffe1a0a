package stack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// The Maven projects that fetch Kafka and its console consumer.
var (
	//go:embed kafka/broker/pom.xml
	kafkaPOM []byte
	//go:embed kafka/consumer/pom.xml
	kafkaConsumerPOM []byte
)

// Directories of jars below Kafka's in the cache.
const (
	kafkaBrokerJars   = "broker"
	kafkaConsumerJars = "consumer"
)

// kafkaReadyTimeout is for all brokers of a cluster, on a busy machine.
const kafkaReadyTimeout = 3 * time.Minute

// kafkaStopGrace is what brokers get to hand over their partitions.
const kafkaStopGrace = 15 * time.Second

// KafkaOptions are the settings of a Kafka cluster.
type KafkaOptions struct {
	// Brokers is their number, by default 1. With 3 or more topics have 3 replicas by default, of which 2 must be in sync
	// for a record to be taken; with fewer, one.
	Brokers int
	// MaxMessageBytes is the largest batch of records that brokers take, by default Kafka's 1 MiB.
	MaxMessageBytes int
	// Security adds listeners for SSL, SASL_PLAINTEXT and SASL_SSL. The one without security stays.
	Security *KafkaSecurity
	// Fronts adds a listener FRONT without security, of which each broker tells clients that it is here, host:port by
	// broker: at a proxy, which passes on to Addresses("FRONT").
	Fronts []string
	// Settings are further ones of server.properties, for all brokers. They precede those that are made here.
	Settings map[string]string
	// HeapMB is the size of each broker's heap in MiB, by default 384.
	HeapMB int
	// ShortLived has brokers run with Java's first compiler only: for some minutes the second one takes more processor
	// time than it saves.
	ShortLived bool
}

// KafkaSecurity is who may talk to the listeners with security.
type KafkaSecurity struct {
	// ClientCertificate has the listener SSL refuse clients without a certificate of the authority.
	ClientCertificate bool
	// Users are names and their passwords, for PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. OAUTHBEARER takes any unsigned
	// token: see UnsignedToken.
	Users map[string]string
}

func (o KafkaOptions) withDefaults() (KafkaOptions, error) {
	if o.Brokers == 0 {
		o.Brokers = 1
	}
	if o.HeapMB == 0 {
		o.HeapMB = 384
	}
	if o.Brokers < 0 || o.MaxMessageBytes < 0 || o.HeapMB < 0 {
		return o, errors.New("an option of Kafka is below 0")
	}
	if len(o.Fronts) > 0 && len(o.Fronts) != o.Brokers {
		return o, fmt.Errorf("there are %d fronts of %d brokers of Kafka", len(o.Fronts), o.Brokers)
	}
	return o, nil
}

// A KafkaCluster is a number of Kafka brokers, counted from 0, each of which is a controller too. They keep their ports
// and data over restarts. Topics are not made by use. Its methods are safe for concurrent use.
type KafkaCluster struct {
	options      KafkaOptions
	dir          string
	java         string
	kafka        string // what is installed
	certificates Certificates
	host         *process.Host

	mu      sync.Mutex
	brokers []broker
}

// A broker is one place for a broker.
type broker struct {
	ports   map[string]int // by listener
	process *process.Process
	paused  bool
}

// RunKafka starts a Kafka cluster on a directory, which keeps the data for the next one with as many brokers, and waits
// until all brokers know each other.
func RunKafka(ctx context.Context, dir string, o KafkaOptions) (*KafkaCluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	jar, err := Kafka.Path()
	if err != nil {
		return nil, err
	}
	home, err := javaHome()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	k := &KafkaCluster{
		options: o, dir: dir, java: filepath.Join(home, "bin", "java"), kafka: filepath.Dir(filepath.Dir(jar)),
		host: process.NewHost(), brokers: make([]broker, o.Brokers),
	}
	if err := k.startFirst(ctx); err != nil {
		k.close()
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	return k, nil
}

// startFirst finds ports and starts all brokers there.
func (k *KafkaCluster) startFirst(ctx context.Context) error {
	if k.options.Security != nil {
		var err error
		if k.certificates, err = MakeCertificates(filepath.Join(k.dir, "certificates")); err != nil {
			return err
		}
	}
	var failure error
	for range portAttempts {
		if err := k.configure(); err != nil {
			return err
		}
		if err := k.format(ctx); err != nil {
			return err
		}
		if failure = k.Start(ctx, k.all()...); failure == nil {
			return nil
		}
		k.Stop()
		if !k.portTaken() {
			break
		}
	}
	return failure
}

// configure finds ports and writes the brokers' settings.
func (k *KafkaCluster) configure() error {
	listeners := k.options.listeners()
	ports, err := process.FreePorts(len(listeners) * len(k.brokers))
	if err != nil {
		return err
	}
	for i := range k.brokers {
		k.brokers[i].ports = make(map[string]int)
		for _, l := range listeners {
			k.brokers[i].ports[l], ports = ports[0], ports[1:]
		}
	}
	for i := range k.brokers {
		if err := os.MkdirAll(k.brokerDir(i), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(k.settingsFile(i), []byte(k.settings(i)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// format makes the brokers' directories ready, unless they are.
func (k *KafkaCluster) format(ctx context.Context) error {
	failures := make([]error, len(k.brokers))
	var formats sync.WaitGroup
	for i := range k.brokers {
		formats.Go(func() {
			args := []string{"format", "--cluster-id", clusterID, "--config", k.settingsFile(i), "--ignore-formatted"}
			args = append(args, k.options.scramUsers()...)
			p, err := k.runJava(fmt.Sprintf("kafka-format-%d", i), k.brokerDir(i), []string{cluster.FirstCompiler},
				"kafka.tools.StorageTool", args...)
			if err != nil {
				failures[i] = err
				return
			}
			select {
			case <-p.Done():
				if p.Failed() {
					failures[i] = p.Ended()
				}
			case <-ctx.Done():
				p.Kill()
				failures[i] = context.Cause(ctx)
			}
		})
	}
	formats.Wait()
	return errors.Join(failures...)
}

// runJava starts a class of the broker's.
func (k *KafkaCluster) runJava(name, dir string, flags []string, class string, args ...string) (*process.Process, error) {
	return k.host.Start(process.Spec{
		Name: name, Dir: dir, Output: filepath.Join(dir, name+".log"),
		Args: slices.Concat(k.javaCommand(kafkaBrokerJars, "info"), flags, []string{class}, args),
	})
}

// javaCommand is how Java runs something of some jars, up to the class.
func (k *KafkaCluster) javaCommand(jars, logLevel string) []string {
	const logger = "-Dorg.slf4j.simpleLogger."
	return []string{k.java, "-XX:+UseSerialGC", "-cp", filepath.Join(k.kafka, jars, "*"),
		logger + "defaultLogLevel=" + logLevel, logger + "showDateTime=true", logger + "dateTimeFormat=HH:mm:ss.SSS"}
}

func (k *KafkaCluster) brokerDir(i int) string {
	return filepath.Join(k.dir, "broker-"+strconv.Itoa(i))
}

func (k *KafkaCluster) settingsFile(i int) string {
	return filepath.Join(k.brokerDir(i), "server.properties")
}

// portTaken says whether a broker ended because of its port.
func (k *KafkaCluster) portTaken() bool {
	for i := range k.brokers {
		if log, err := os.ReadFile(k.Log(i)); err == nil && strings.Contains(string(log), "java.net.BindException") {
			return true
		}
	}
	return false
}

// all returns the numbers of all brokers.
func (k *KafkaCluster) all() []int {
	all := make([]int, len(k.brokers))
	for i := range all {
		all[i] = i
	}
	return all
}

// Bootstrap are the addresses of all brokers without security.
func (k *KafkaCluster) Bootstrap() []string { return k.Addresses("PLAINTEXT") }

// Addresses are those of all brokers' listeners for a protocol: PLAINTEXT, or with KafkaOptions.Security also SSL,
// SASL_PLAINTEXT and SASL_SSL, or with KafkaOptions.Fronts those of FRONT. There are none for another one.
func (k *KafkaCluster) Addresses(protocol string) []string {
	var addresses []string
	for i := range k.brokers {
		if port := k.brokers[i].ports[protocol]; port != 0 {
			addresses = append(addresses, loopback(port))
		}
	}
	return addresses
}

// Certificates are the files for SSL and SASL_SSL, with KafkaOptions.Security.
func (k *KafkaCluster) Certificates() Certificates { return k.certificates }

// Log is the path of a broker's log.
func (k *KafkaCluster) Log(i int) string {
	return filepath.Join(k.brokerDir(i), brokerName(i)+".log")
}

func brokerName(i int) string { return "kafka-" + strconv.Itoa(i) }

// Start starts brokers again after Stop or Kill, and waits until the cluster is ready: see AwaitReady.
func (k *KafkaCluster) Start(ctx context.Context, brokers ...int) error {
	for _, i := range brokers {
		if err := k.launch(i); err != nil {
			return err
		}
	}
	return k.AwaitReady(ctx)
}

func (k *KafkaCluster) launch(i int) error {
	if err := k.check(i); err != nil {
		return fmt.Errorf("start %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	b := &k.brokers[i]
	if b.process != nil && b.process.Ended() == nil {
		return fmt.Errorf("start broker %d: it is running", i)
	}
	heap := fmt.Sprintf("%dm", k.options.HeapMB)
	flags := []string{"-Xms" + heap, "-Xmx" + heap}
	if k.options.ShortLived {
		flags = append(flags, cluster.FirstCompiler)
	}
	p, err := k.runJava(brokerName(i), k.brokerDir(i), flags, "kafka.Kafka", k.settingsFile(i))
	if err != nil {
		return err
	}
	b.process, b.paused = p, false
	return nil
}

func (k *KafkaCluster) check(i int) error {
	if i < 0 || i >= len(k.brokers) {
		return fmt.Errorf("broker %d: there are %d, counted from 0", i, len(k.brokers))
	}
	return nil
}

// Kill ends a broker by SIGKILL. The others miss it after some seconds.
func (k *KafkaCluster) Kill(i int) error {
	if err := k.check(i); err != nil {
		return fmt.Errorf("kill %w", err)
	}
	k.mu.Lock()
	p := k.brokers[i].process
	k.mu.Unlock()
	if p != nil {
		p.Kill()
	}
	return nil
}

// Pause halts a broker by SIGSTOP: it does not answer, and its connections stay open.
func (k *KafkaCluster) Pause(i int) error { return k.pause(i, true) }

// Resume lets a broker go on after Pause. It does not wait: see AwaitReady.
func (k *KafkaCluster) Resume(i int) error { return k.pause(i, false) }

func (k *KafkaCluster) pause(i int, pause bool) error {
	if err := k.check(i); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	b := &k.brokers[i]
	if b.process == nil {
		return fmt.Errorf("broker %d has not been started", i)
	}
	signal := b.process.Resume
	if pause {
		signal = b.process.Pause
	}
	if err := signal(); err != nil {
		return err
	}
	b.paused = pause
	return nil
}

// Stop stops all brokers. It can be called again, and they can be started after it.
func (k *KafkaCluster) Stop() {
	k.mu.Lock()
	var processes []*process.Process
	for _, b := range k.brokers {
		processes = append(processes, b.process)
	}
	k.mu.Unlock()
	process.StopAll(kafkaStopGrace, processes...)
}

// close ends all brokers for good, as a test does not need their data.
func (k *KafkaCluster) close() {
	for i := range k.brokers {
		_ = k.Kill(i) // which is one of them
	}
	k.host.Close()
}
