// Package kubernetes checks the manifests of this folder: each against the types
// or the schema that a cluster checks it by, and all against each other and
// against the job.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// A manifest is one document of a file.
type manifest struct {
	file string
	text []byte
	head struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
}

// manifests returns all documents of the folder.
func manifests(t *testing.T) []manifest {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no manifests: %v", err)
	}
	var all []manifest
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		reader := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
		for {
			part := make([]byte, len(text)+1)
			n, err := reader.Read(part)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			m := manifest{file: file, text: part[:n]}
			if err := strict.Unmarshal(m.text, &m.head); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, m)
		}
	}
	return all
}

// read decodes the one manifest of a kind and name, refusing what its type
// does not have.
func read[T any](t *testing.T, kind, name string) T {
	t.Helper()
	var out T
	for _, m := range manifests(t) {
		if m.head.Kind == kind && m.head.Metadata.Name == name {
			if err := strict.UnmarshalStrict(m.text, &out); err != nil {
				t.Fatalf("%s: %s %s: %v", m.file, kind, name, err)
			}
			return out
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return out
}

// kinds are the types by which a cluster reads what it has itself, and those of
// the Prometheus Operator. FlinkDeployment has a schema: see crd_test.go.
var kinds = map[string]func() any{
	"v1 Namespace":                      func() any { return new(corev1.Namespace) },
	"v1 ServiceAccount":                 func() any { return new(corev1.ServiceAccount) },
	"v1 ConfigMap":                      func() any { return new(corev1.ConfigMap) },
	"v1 Secret":                         func() any { return new(corev1.Secret) },
	"v1 Service":                        func() any { return new(corev1.Service) },
	"rbac.authorization.k8s.io/v1 Role": func() any { return new(rbacv1.Role) },
	"rbac.authorization.k8s.io/v1 RoleBinding": func() any { return new(rbacv1.RoleBinding) },
	"networking.k8s.io/v1 NetworkPolicy":       func() any { return new(networkingv1.NetworkPolicy) },
	"monitoring.coreos.com/v1 ServiceMonitor":  func() any { return new(monitoringv1.ServiceMonitor) },
	"kustomize.config.k8s.io/v1beta1 Kustomization": func() any {
		return new(struct {
			APIVersion string   `json:"apiVersion"`
			Kind       string   `json:"kind"`
			Namespace  string   `json:"namespace"`
			Resources  []string `json:"resources"`
		})
	},
}

func TestManifestsHaveFieldsOfTheirKindsOnly(t *testing.T) {
	for _, m := range manifests(t) {
		name := m.head.APIVersion + " " + m.head.Kind
		if name == "flink.apache.org/v1beta1 FlinkDeployment" {
			continue
		}
		into, ok := kinds[name]
		if !ok {
			t.Errorf("%s: %s is not a kind that is known here", m.file, name)
			continue
		}
		if err := strict.UnmarshalStrict(m.text, into()); err != nil {
			t.Errorf("%s: %s %s: %v", m.file, name, m.head.Metadata.Name, err)
		}
	}
}

func TestManifestsAreInOneNamespace(t *testing.T) {
	for _, m := range manifests(t) {
		if m.head.Kind == "Namespace" || m.head.Kind == "Kustomization" {
			continue
		}
		if m.head.Metadata.Namespace != "streaming-etl" {
			t.Errorf("%s: %s %s is in namespace %q", m.file, m.head.Kind, m.head.Metadata.Name, m.head.Metadata.Namespace)
		}
	}
}

func TestTheKustomizationHasAllButTheExample(t *testing.T) {
	text, err := os.ReadFile("kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var k struct{ Resources []string }
	if err := strict.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return f == "kustomization.yaml" || strings.Contains(f, ".example.") })
	slices.Sort(k.Resources)
	if !slices.Equal(k.Resources, files) {
		t.Errorf("it has %v, the folder %v", k.Resources, files)
	}
}

func TestTheExampleHoldsNoSecret(t *testing.T) {
	for key, value := range read[corev1.Secret](t, "Secret", "streaming-etl").StringData {
		if value != "" {
			t.Errorf("%s has a value", key)
		}
	}
}
