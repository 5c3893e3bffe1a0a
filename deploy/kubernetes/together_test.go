package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	strict "sigs.k8s.io/yaml"
)

// A flinkDeployment is what the tests look at of a FlinkDeployment; the schema
// is checked elsewhere.
type flinkDeployment struct {
	Metadata struct{ Name string }
	Spec     struct {
		FlinkVersion, ServiceAccount string
		FlinkConfiguration           map[string]string
		PodTemplate                  corev1.PodTemplateSpec
		TaskManager                  struct{ Resource struct{ Memory string } }
		Job                          struct{ JarURI, UpgradeMode string }
	}
}

func theDeployment(t *testing.T) flinkDeployment {
	t.Helper()
	text, err := os.ReadFile("flinkdeployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d flinkDeployment
	if err := strict.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// container returns Flink's container of the pod template.
func (d flinkDeployment) container(t *testing.T) corev1.Container {
	t.Helper()
	for _, c := range d.Spec.PodTemplate.Spec.Containers {
		if c.Name == "flink-main-container" {
			return c
		}
	}
	t.Fatal("the pod template has no flink-main-container")
	return corev1.Container{}
}

// properties returns the job's properties in the ConfigMap.
func properties(t *testing.T) map[string]string {
	t.Helper()
	text := read[corev1.ConfigMap](t, "ConfigMap", "streaming-etl-properties").Data["application_properties.json"]
	var groups []struct {
		PropertyGroupID string `json:"PropertyGroupId"`
		PropertyMap     map[string]string
	}
	if err := json.Unmarshal([]byte(text), &groups); err != nil {
		t.Fatal(err)
	}
	if len(groups) != 1 || groups[0].PropertyGroupID != "FlinkApplicationProperties" {
		t.Fatalf("the groups are %v", groups)
	}
	return groups[0].PropertyMap
}

func source(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestThePropertiesAreTheJobs(t *testing.T) {
	table := source(t, "../../pipeline/property/testdata/properties.md")
	for name := range properties(t) {
		if !strings.Contains(table, "| `"+name+"` |") {
			t.Errorf("the job has no property %s", name)
		}
	}
}

func TestThePropertiesAreWhereTheJobReadsThem(t *testing.T) {
	for _, mount := range theDeployment(t).container(t).VolumeMounts {
		if mount.Name == "properties" {
			if path := mount.MountPath + "/application_properties.json"; !strings.Contains(source(t, "../../pipeline/property/file.go"), `"`+path+`"`) {
				t.Errorf("the job does not read %s", path)
			}
			return
		}
	}
	t.Error("the properties are not mounted")
}

// A secret's place in a property must be one that the pods have.
func TestSecretsAreWhereThePropertiesSay(t *testing.T) {
	d, keys := theDeployment(t), read[corev1.Secret](t, "Secret", "streaming-etl").StringData
	c := d.container(t)
	places := map[string]bool{}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			if _, ok := keys[e.ValueFrom.SecretKeyRef.Key]; ok && e.ValueFrom.SecretKeyRef.Name == "streaming-etl" {
				places["env:"+e.Name] = true
			}
		}
	}
	for _, v := range d.Spec.PodTemplate.Spec.Volumes {
		for _, m := range c.VolumeMounts {
			if v.Secret != nil && v.Secret.SecretName == "streaming-etl" && m.Name == v.Name {
				for key := range keys {
					places["file:"+m.MountPath+"/"+key] = true
				}
			}
		}
	}
	found := 0
	for name, value := range properties(t) {
		if !strings.HasSuffix(name, "From") {
			continue
		}
		found++
		if !places[value] {
			t.Errorf("%s is %s, and the pods have %v", name, value, slices.Sorted(maps.Keys(places)))
		}
	}
	if found != 2 {
		t.Errorf("there are %d secrets in the properties, want one of a file and one of the environment", found)
	}
}

func TestTheWorkersPlaceIsMounted(t *testing.T) {
	c := theDeployment(t).container(t)
	if !strings.Contains(source(t, "../../runners/flink/java/src/main/java/streamingetl/flink/Worker.java"), `"ETL_WORKER_DIR"`) {
		t.Error("the jar does not know ETL_WORKER_DIR")
	}
	for _, e := range c.Env {
		for _, m := range c.VolumeMounts {
			if e.Name == "ETL_WORKER_DIR" && e.Value == m.MountPath && !m.ReadOnly {
				return
			}
		}
	}
	t.Error("ETL_WORKER_DIR is not a mount that can be written to")
}

// megabytes reads Flink's sizes, in units of 1,048,576 bytes.
func megabytes(t *testing.T, size string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(size, "m"))
	if err != nil {
		t.Fatalf("%q is not a number of m", size)
	}
	return n
}

func TestTheWorkerHasMemoryOutsideTheJVM(t *testing.T) {
	d := theDeployment(t)
	conf := d.Spec.FlinkConfiguration
	worker := megabytes(t, properties(t)["WorkerMemoryLimitMb"])
	overhead := megabytes(t, conf["taskmanager.memory.jvm-overhead.max"])
	if conf["taskmanager.memory.jvm-overhead.min"] != conf["taskmanager.memory.jvm-overhead.max"] {
		t.Error("the overhead is not fixed: Flink would take a tenth of the total")
	}
	// A tenth of the total is what Flink gives the JVM's own native memory.
	if total := megabytes(t, d.Spec.TaskManager.Resource.Memory); overhead < worker+total/10 {
		t.Errorf("an overhead of %d MB does not hold a worker of %d MB and a tenth of %d MB", overhead, worker, total)
	}
	if got := conf["taskmanager.memory.task.off-heap.size"]; got != "768m" {
		t.Errorf("between Flink and the worker there are %s", got)
	}
	for name, q := range d.container(t).Resources.Limits {
		t.Errorf("the pod template limits %s to %s, which Flink replaces", name, q.String())
	}
}

func TestCheckpointsSurviveTheCluster(t *testing.T) {
	d := theDeployment(t)
	conf := d.Spec.FlinkConfiguration
	for key, want := range map[string]string{
		"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
		"high-availability.type":                                    "kubernetes",
		"fs.s3a.aws.credentials.provider":                           "com.amazonaws.auth.WebIdentityTokenCredentialsProvider",
	} {
		if conf[key] != want {
			t.Errorf("%s is %q, want %q", key, conf[key], want)
		}
	}
	// The operator 1.10 is built with Flink 1.19: it refuses savepoint upgrades
	// without these names. Flink 1.20, which has newer ones, takes them too.
	for _, key := range []string{"state.checkpoints.dir", "state.savepoints.dir", "high-availability.storageDir"} {
		if !strings.HasPrefix(conf[key], "s3://") {
			t.Errorf("%s is %q, which the pods do not share", key, conf[key])
		}
	}
	if d.Spec.Job.UpgradeMode != "savepoint" {
		t.Errorf("an upgrade is %s", d.Spec.Job.UpgradeMode)
	}
}

func TestPortsAreOpenAmongThePods(t *testing.T) {
	d := theDeployment(t)
	policy := read[networkingv1.NetworkPolicy](t, "NetworkPolicy", "streaming-etl")
	open := func(ports []networkingv1.NetworkPolicyPort, port int) bool {
		return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
			last := p.Port.IntValue()
			if p.EndPort != nil {
				last = int(*p.EndPort)
			}
			return *p.Protocol == corev1.ProtocolTCP && p.Port.IntValue() <= port && port <= last
		})
	}
	for _, key := range []string{
		"jobmanager.rpc.port", "blob.server.port", "taskmanager.rpc.port", "taskmanager.data.port",
		"metrics.internal.query-service.port", // at which the JobManager asks for what status and the autoscaler see
	} {
		port, err := strconv.Atoi(d.Spec.FlinkConfiguration[key])
		if err != nil {
			t.Errorf("%s is not fixed", key)
			continue
		}
		if !open(policy.Spec.Ingress[0].Ports, port) || !open(policy.Spec.Egress[0].Ports, port) {
			t.Errorf("%s %d is closed", key, port)
		}
	}
	if got := policy.Spec.PodSelector.MatchLabels["app"]; got != d.Metadata.Name {
		t.Errorf("the policy is for app %q; Flink labels the pods %q", got, d.Metadata.Name)
	}
	for name, value := range properties(t) {
		if !strings.HasSuffix(name, "BootstrapServers") && !strings.HasSuffix(name, "Endpoint") {
			continue
		}
		for _, port := range regexp.MustCompile(`:(\d+)`).FindAllStringSubmatch(value, -1) {
			n, err := strconv.Atoi(port[1])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(policy.Spec.Egress, func(e networkingv1.NetworkPolicyEgressRule) bool { return e.To == nil && open(e.Ports, n) }) {
				t.Errorf("%s: the port %d is closed", name, n)
			}
		}
	}
}

func TestPrometheusFindsThePods(t *testing.T) {
	d := theDeployment(t)
	service := read[corev1.Service](t, "Service", "streaming-etl-metrics")
	monitor := read[monitoringv1.ServiceMonitor](t, "ServiceMonitor", "streaming-etl")
	for label, value := range monitor.Spec.Selector.MatchLabels {
		if service.Labels[label] != value {
			t.Errorf("the service has no label %s=%s", label, value)
		}
	}
	if got := service.Spec.Selector["app"]; got != d.Metadata.Name {
		t.Errorf("the service selects app %q", got)
	}
	if monitor.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name {
		t.Errorf("the service has no port %s", monitor.Spec.Endpoints[0].Port)
	}
	for _, p := range d.container(t).Ports {
		if p.Name == service.Spec.Ports[0].TargetPort.StrVal && fmt.Sprint(p.ContainerPort) == d.Spec.FlinkConfiguration["metrics.reporter.prom.port"] {
			return
		}
	}
	t.Error("Flink's reporter is on another port")
}

func TestPodsAreRestricted(t *testing.T) {
	d := theDeployment(t)
	pod, c := d.Spec.PodTemplate.Spec.SecurityContext, d.container(t).SecurityContext
	if pod == nil || c == nil || !*pod.RunAsNonRoot || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*c.AllowPrivilegeEscalation || len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL" {
		t.Error("the namespace enforces the restricted standard, which the pods do not keep")
	}
}

func TestTheImageHasWhatTheDeploymentNames(t *testing.T) {
	d, image := theDeployment(t), source(t, "Dockerfile")
	jar := strings.TrimPrefix(d.Spec.Job.JarURI, "local://")
	if !strings.Contains(image, " etl.jar "+jar+"\n") {
		t.Errorf("the image has no %s", jar)
	}
	release := regexp.MustCompile(`(?m)^ARG FLINK=(\d+)\.(\d+)\.`).FindStringSubmatch(image)
	if release == nil || "v"+release[1]+"_"+release[2] != d.Spec.FlinkVersion {
		t.Errorf("the image has Flink %v, the deployment %s", release, d.Spec.FlinkVersion)
	}
}

// What is put into the namespace comes after it.
func TestThePageMakesTheNamespaceBeforeTheSecret(t *testing.T) {
	_, steps, ok := strings.Cut(source(t, "../../docs/deployment.md"), "\n### Step by step\n")
	if !ok {
		t.Fatal("the page has no steps")
	}
	namespace, secret := strings.Index(steps, "kubectl apply -f deploy/kubernetes/namespace.yaml"), strings.Index(steps, "secret.example.yaml")
	if namespace < 0 || secret < 0 || namespace > secret {
		t.Errorf("the namespace is made at %d, the Secret at %d", namespace, secret)
	}
}
