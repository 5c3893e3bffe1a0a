package kubernetes

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	strict "sigs.k8s.io/yaml"
)

// The operator's release whose schema counts, and the SHA-256 of its jar of
// types, which holds the schema (Apache License 2.0).
const (
	operatorRelease  = "1.10.0"
	operatorArtifact = "flink-kubernetes-operator-api"
	operatorSum      = "b1f44814e17514fa8395c61b329a3ee9087123a5bda5b21fe1a495d5182c30b6"
	schemaFile       = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
)

// cacheDir returns the project's directory for what is fetched once: $ETL_CACHE,
// or streaming-etl in the user's cache directory.
func cacheDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("ETL_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "streaming-etl")
}

// operatorJar returns the operator's jar, fetched by Maven into the cache
// directory where it is not there yet.
func operatorJar(t *testing.T) []byte {
	t.Helper()
	dir := filepath.Join(cacheDir(t), operatorArtifact+"-"+operatorRelease)
	path := filepath.Join(dir, operatorArtifact+"-"+operatorRelease+".jar")
	jar, err := os.ReadFile(path)
	if err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "mvn", "--quiet", "--batch-mode", "dependency:copy",
			"-Dartifact=org.apache.flink:"+operatorArtifact+":"+operatorRelease, "-DoutputDirectory="+dir).CombinedOutput()
		if err != nil {
			t.Fatalf("fetch the operator's schema by Maven: %v\n%s", err, out)
		}
		if jar, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(jar)
	if got := hex.EncodeToString(sum[:]); got != operatorSum {
		t.Fatalf("%s has the SHA-256 %s, want %s", path, got, operatorSum)
	}
	return jar
}

// deploymentSchema returns the schema of FlinkDeployment.
func deploymentSchema(t *testing.T) *apiextensions.JSONSchemaProps {
	t.Helper()
	jar := operatorJar(t)
	archive, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		t.Fatal(err)
	}
	file, err := archive.Open(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := strict.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(definition.Spec.Versions[0].Schema, &internal, nil); err != nil {
		t.Fatal(err)
	}
	return internal.OpenAPIV3Schema
}

// faults returns what a cluster with the operator would refuse or drop.
func faults(t *testing.T, props *apiextensions.JSONSchemaProps, object map[string]any) []string {
	t.Helper()
	validator, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, err := range validation.ValidateCustomResource(nil, object, validator) {
		all = append(all, err.Error())
	}
	structural, err := schema.NewStructural(props)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pruning.PruneWithOptions(object, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		all = append(all, path+": unknown")
	}
	return all
}

// deployment returns the FlinkDeployment as a cluster would get it.
func deployment(t *testing.T) map[string]any {
	t.Helper()
	for _, m := range manifests(t) {
		if m.head.Kind == "FlinkDeployment" {
			var object map[string]any
			if err := strict.UnmarshalStrict(m.text, &object); err != nil {
				t.Fatal(err)
			}
			return object
		}
	}
	t.Fatal("there is no FlinkDeployment")
	return nil
}

func TestTheDeploymentIsWhatTheOperatorTakes(t *testing.T) {
	for _, fault := range faults(t, deploymentSchema(t), deployment(t)) {
		t.Error(fault)
	}
}

// Without this, a schema that allows everything would pass unseen.
func TestTheSchemaRefusesMistakes(t *testing.T) {
	props := deploymentSchema(t)
	for name, spoil := range map[string]func(spec map[string]any){
		"a version that is none": func(spec map[string]any) { spec["flinkVersion"] = "v1_99" },
		"a number for a setting": func(spec map[string]any) {
			spec["flinkConfiguration"].(map[string]any)["blob.server.port"] = int64(6124)
		},
		"an unknown field": func(spec map[string]any) { spec["job"].(map[string]any)["jar"] = "etl.jar" },
		"an unknown field of a pod": func(spec map[string]any) {
			spec["podTemplate"].(map[string]any)["spec"].(map[string]any)["volume"] = []any{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			object := deployment(t)
			spoil(object["spec"].(map[string]any))
			if len(faults(t, props, object)) == 0 {
				t.Error("the schema takes it")
			}
		})
	}
}
