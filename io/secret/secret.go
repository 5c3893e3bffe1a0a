// Package secret says where a secret is read, on the machine that uses it, so
// that options which travel to the workers need not hold it.
package secret

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret is where a secret is read: a variable of the environment or a file.
// The zero value is no secret.
type Secret struct {
	// Env is the name of an environment variable.
	Env string
	// File is the path of a file; line ends at its end, which editors leave, do
	// not count.
	File string
}

// IsZero reports whether no place is named.
func (s Secret) IsZero() bool { return s == Secret{} }

// Validate reports whether one place is named.
func (s Secret) Validate() error {
	switch {
	case s.IsZero():
		return errors.New("no environment variable and no file is named")
	case s.Env != "" && s.File != "":
		return errors.New("both an environment variable and a file are named")
	}
	return nil
}

// Read returns the secret. An empty one is an error, and so is none.
func (s Secret) Read() (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	if s.Env != "" {
		value, ok := os.LookupEnv(s.Env)
		switch {
		case !ok:
			return "", fmt.Errorf("the environment variable %s is not set", s.Env)
		case value == "":
			return "", fmt.Errorf("the environment variable %s is empty", s.Env)
		}
		return value, nil
	}
	content, err := os.ReadFile(s.File)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	value := strings.TrimRight(string(content), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", s.File)
	}
	return value, nil
}
