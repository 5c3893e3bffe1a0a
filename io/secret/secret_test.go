package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsAreReadWhereTheySay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(" with spaces \r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET_TEST_SECRET", "value\n")
	t.Setenv("SECRET_TEST_EMPTY", "")
	for name, test := range map[string]struct {
		s           Secret
		want, wrong string
	}{
		"environment":       {Secret{Env: "SECRET_TEST_SECRET"}, "value\n", ""},
		"file":              {Secret{File: file}, " with spaces ", ""},
		"none":              {Secret{}, "", "no environment variable"},
		"two":               {Secret{Env: "SECRET_TEST_SECRET", File: file}, "", "both"},
		"empty environment": {Secret{Env: "SECRET_TEST_EMPTY"}, "", "SECRET_TEST_EMPTY is empty"},
		"not set":           {Secret{Env: "SECRET_TEST_UNSET"}, "", "SECRET_TEST_UNSET is not set"},
		"empty file":        {Secret{File: empty}, "", "is empty"},
		"no file":           {Secret{File: file + "x"}, "", "no such file"},
	} {
		got, err := test.s.Read()
		if got != test.want || (err != nil) != (test.wrong != "") || (err != nil && !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
