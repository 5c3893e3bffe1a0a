package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// UploadJar uploads a jar and returns its id for RunJar. A jar of the same content is not uploaded twice: the content's
// hash is part of the name that the cluster keeps it by. The cluster keeps jars until it is told otherwise, or ends.
func (c *Client) UploadJar(ctx context.Context, path string) (id string, err error) {
	if id, err = c.uploadJar(ctx, path); err != nil {
		return "", fmt.Errorf("upload %s: %w", filepath.Base(path), err)
	}
	return id, nil
}

func (c *Client) uploadJar(ctx context.Context, path string) (string, error) {
	jar, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer jar.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, jar)
	if err != nil {
		return "", err
	}
	if _, err := jar.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	name := strings.TrimSuffix(filepath.Base(path), ".jar") + "-" + hex.EncodeToString(hash.Sum(nil)[:8]) + ".jar"

	id, err := c.findJar(ctx, name)
	if err != nil || id != "" {
		return id, err
	}
	body, contentType, length, err := jarForm(name, jar, size)
	if err != nil {
		return "", err
	}
	var answer struct{ Filename string }
	r := call{method: http.MethodPost, path: []string{"jars", "upload"}, body: body, contentType: contentType, length: length}
	if err := c.do(ctx, r, &answer); err != nil {
		return "", err
	}
	// It is the path on the JobManager, which ends with the id.
	return answer.Filename[strings.LastIndexByte(answer.Filename, '/')+1:], nil
}

// findJar returns the id of a jar by its name, or nothing.
func (c *Client) findJar(ctx context.Context, name string) (string, error) {
	var answer struct {
		Files []struct{ ID, Name string }
	}
	if err := c.do(ctx, get("jars"), &answer); err != nil {
		return "", fmt.Errorf("list jars: %w", err)
	}
	for _, f := range answer.Files {
		if f.Name == name {
			return f.ID, nil
		}
	}
	return "", nil
}

// jarForm returns the upload's body, of a known length: the jar between the two ends of a form.
func jarForm(name string, jar io.Reader, size int64) (body io.Reader, contentType string, length int64, err error) {
	var ends bytes.Buffer
	form := multipart.NewWriter(&ends)
	header := make(map[string][]string)
	header["Content-Disposition"] = []string{multipart.FileContentDisposition("jarfile", name)}
	header["Content-Type"] = []string{"application/java-archive"}
	if _, err := form.CreatePart(header); err != nil {
		return nil, "", 0, err
	}
	begin := bytes.Clone(ends.Bytes())
	ends.Reset()
	if err := form.Close(); err != nil {
		return nil, "", 0, err
	}
	length = int64(len(begin)) + size + int64(ends.Len())
	return io.MultiReader(bytes.NewReader(begin), io.LimitReader(jar, size), &ends), form.FormDataContentType(), length, nil
}

// RunOptions say how a jar is run. The zero value runs its main class at the cluster's parallelism.
type RunOptions struct {
	// Args are the main class's arguments.
	Args []string
	// Parallelism is that of the job where its own options name none, by default the cluster's.
	Parallelism int
	// EntryClass is the main class, by default that of the jar's manifest.
	EntryClass string
	// SavepointPath is a savepoint or a retained checkpoint to start from, as a path or URI that the JobManager can
	// read.
	SavepointPath string
	// AllowNonRestoredState lets the job start though it has no place for some of the state there.
	AllowNonRestoredState bool
}

// RunJar runs an uploaded jar and returns the id of the job it has submitted. The job is not running yet: see Wait. If
// the jar's main class fails, the error's message is that of its own exception.
func (c *Client) RunJar(ctx context.Context, jarID string, o RunOptions) (jobID string, err error) {
	body := struct {
		Args                  []string `json:"programArgsList,omitempty"`
		Parallelism           int      `json:"parallelism,omitempty"`
		EntryClass            string   `json:"entryClass,omitempty"`
		SavepointPath         string   `json:"savepointPath,omitempty"`
		AllowNonRestoredState bool     `json:"allowNonRestoredState,omitempty"`
	}{o.Args, o.Parallelism, o.EntryClass, o.SavepointPath, o.AllowNonRestoredState}
	var answer struct{ JobID string }
	r := post(body, "jars", jarID, "run")
	r.timeout = runTimeout
	if err := c.do(ctx, r, &answer); err != nil {
		return "", fmt.Errorf("run %s: %w", jarName(jarID), err)
	}
	return answer.JobID, nil
}

// jarName is the name part of an id: the upload's own id, a UUID, is before it.
func jarName(id string) string {
	if _, name, ok := strings.Cut(id, "_"); ok {
		return name
	}
	return id
}
