package stack

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page returns the part of docs/deployment.md under a heading.
func page(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n### "+heading+"\n")
	if !ok {
		t.Fatalf("the page has no heading %s", heading)
	}
	part, _, _ = strings.Cut(part, "\n### ")
	return part
}

var inBackquotes = regexp.MustCompile("`([^`]+)`")

// firstColumn returns what stands in backquotes in the first cells of tables.
func firstColumn(part string) []string {
	var all []string
	for line := range strings.Lines(part) {
		if strings.HasPrefix(line, "| `") {
			cell, _, _ := strings.Cut(line[2:], "|")
			for _, m := range inBackquotes.FindAllStringSubmatch(cell, -1) {
				all = append(all, m[1])
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestThePageHasEveryParameter(t *testing.T) {
	got, want := firstColumn(page(t, "The template as it is")), sortedKeys(synth(t, nil).Parameters)
	if !slices.Equal(got, want) {
		t.Errorf("the page has the parameters %v,\nthe template %v", got, want)
	}
}

func TestThePageHasContextThatIsTaken(t *testing.T) {
	names := firstColumn(page(t, "Other parts, by the CDK"))
	for _, name := range names {
		_, err := fromMap(map[string]string{name: "x"})
		if err != nil && strings.Contains(err.Error(), "neither a setting") {
			t.Errorf("%s is not taken", name)
		}
	}
	if len(names) < 15 {
		t.Errorf("the page's table is not read rightly: %v", names)
	}
}

func TestThePageExplainsEveryWideStatement(t *testing.T) {
	if got, want := firstColumn(page(t, "Permissions")), sortedKeys(wide); !slices.Equal(got, want) {
		t.Errorf("the page explains %v,\nthe code allows %v", got, want)
	}
}

func TestThePageNamesOutputsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	outputs := synth(t, variants["from MSK in a peered VPC"]).Outputs
	for name, o := range synth(t, nil).Outputs {
		outputs[name] = o
	}
	for _, m := range regexp.MustCompile("`((?:Replay|Start|Stop|Restart|Log|Peering|Output|Dashboard)[A-Za-z]*(?:Command|Connect|Connection|Files|Link))`").FindAllStringSubmatch(string(text), -1) {
		if _, ok := outputs[m[1]]; !ok {
			t.Errorf("there is no output %s", m[1])
		}
	}
}

func TestThePageHasEveryAlarm(t *testing.T) {
	var want []string
	for _, a := range synth(t, nil).ofType("AWS::CloudWatch::Alarm") {
		want = append(want, strings.TrimPrefix(words(a.Properties["AlarmName"]), "${AWS::StackName}-"))
	}
	slices.Sort(want)
	if got := firstColumn(page(t, "Watching")); !slices.Equal(got, want) {
		t.Errorf("the page has %v, the stack %v", got, want)
	}
}

// The CDK's command line uploads the template itself to the bucket that
// bootstrap makes, and looks for its version first: without it nothing is
// deployed.
func TestThePageBootstrapsBeforeItDeploys(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	deploys := 0
	for block := range strings.SplitSeq(string(text), "```") {
		before, _, ok := strings.Cut(block, "npx aws-cdk@2 deploy")
		if !ok {
			continue
		}
		deploys++
		if !strings.Contains(before, "npx aws-cdk@2 bootstrap") {
			t.Errorf("nothing is bootstrapped before:%s", block)
		}
	}
	if deploys < 2 {
		t.Errorf("the page deploys by the CDK %d times", deploys)
	}
}

// The permissions of the role on Kubernetes are those of this stack, made of
// the manifests' properties but for those that the page says to leave out.
func TestThePermissionsForKubernetesAreMadeAsThePageSays(t *testing.T) {
	text, err := os.ReadFile("../../kubernetes/properties.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "application_properties.json: |\n")
	if !ok {
		t.Fatal("the manifests have no properties")
	}
	part := page(t, "Step by step")
	file := regexp.MustCompile(` *"[A-Za-z]+(From|File)": .*\n`).ReplaceAllString(block, "")
	if file == block || !strings.Contains(part, "without `…From`, `…File`, ") {
		t.Error("the page has other properties left out")
	}
	for _, name := range append(fileProperties, "Parallelism", "EventSchema") {
		if !strings.HasSuffix(name, "File") && !strings.Contains(part, "`"+name+"`") {
			t.Errorf("the page does not have %s left out", name)
		}
	}
	path := filepath.Join(t.TempDir(), "properties.json")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	var ofTheJob []string
	for _, s := range synth(t, map[string]string{"properties": path, "replayHost": "false"}).statements() {
		if s.where == "JobPolicyECDEFA7E" && !strings.Contains(part, "`"+s.sid+"`") {
			ofTheJob = append(ofTheJob, s.sid)
		}
	}
	if !slices.Equal(ofTheJob, []string{"LookAtBucket", "WriteObjects"}) {
		t.Errorf("without what the page says is the service's, the permissions are %v", ofTheJob)
	}
}
