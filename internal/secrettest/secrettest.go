// Package secrettest looks for secrets that a test has planted where none may be.
package secrettest

import (
	"bytes"
	"encoding/base64"
	"testing"
)

// User is who logs in with the secrets that go into a header of HTTP.
const User = "etl"

// Planted are secrets by the name of what they are for.
type Planted map[string]string

// Absent fails the test if a text has one of the secrets, as it is or as headers of HTTP have it: in base64, alone or
// behind User.
func (p Planted) Absent(t testing.TB, what string, text []byte) {
	t.Helper()
	for name, secret := range p {
		for _, form := range []string{secret, encode(User + ":" + secret), encode(secret)} {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("%s: the secret of %s is in it", what, name)
			}
		}
	}
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
