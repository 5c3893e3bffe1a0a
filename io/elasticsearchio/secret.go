package elasticsearchio

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret says where a secret is read, on the machine that uses it; it never
// holds the secret itself. Exactly one of its members is set.
type Secret struct {
	// Env is the name of an environment variable.
	Env string
	// File is the path of a file; white space at its end does not count.
	File string
}

// Read returns the secret; an empty one is an error.
func (s Secret) Read() (string, error) {
	if err := s.validate(); err != nil {
		return "", err
	}
	if s.Env != "" {
		value := os.Getenv(s.Env)
		if value == "" {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return value, nil
	}
	content, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(content), " \t\r\n")
	if value == "" {
		return "", fmt.Errorf("%s is empty", s.File)
	}
	return value, nil
}

func (s Secret) validate() error {
	switch {
	case s.Env == "" && s.File == "":
		return errors.New("no environment variable and no file is named")
	case s.Env != "" && s.File != "":
		return errors.New("both an environment variable and a file are named")
	}
	return nil
}
