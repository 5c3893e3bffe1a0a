package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// versitygwCompleting is the end of the name of an upload's directory while versitygw completes it.
const versitygwCompleting = ".inprogress"

// RepairUploads undoes what a killed server has left half done; call it after Kill and before Start. Versitygw 1.8.0
// gives an upload's directory another name while it completes it, and gives it back only if it lives to do so: else the
// upload is unknown from then on, and the object is not there, which S3 never lets happen.
func (s *S3) RepairUploads() error {
	if err := repairUploads(s.data, filepath.Join(filepath.Dir(s.data), "metadata")); err != nil {
		return fmt.Errorf("repair uploads that were being completed: %w", err)
	}
	return nil
}

// repairUploads gives uploads their names back, or removes those whose object is there.
func repairUploads(data, metadata string) error {
	for _, root := range []string{data, metadata} {
		found, err := filepath.Glob(filepath.Join(root, "*", ".sgwtmp", "multipart", "*", "*"+versitygwCompleting))
		if err != nil {
			return err
		}
		for _, dir := range found {
			within, err := filepath.Rel(root, dir)
			if err != nil {
				return err
			}
			bucket, _, _ := strings.Cut(within, string(filepath.Separator))
			// The object's name is beside the uploads of it.
			name, err := os.ReadFile(filepath.Join(metadata, filepath.Dir(within), "meta", "objname"))
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(data, bucket, string(name))); err == nil {
				if err := os.RemoveAll(dir); err != nil {
					return err
				}
				continue
			}
			id, _, _ := strings.Cut(filepath.Base(dir), ".")
			if err := os.Rename(dir, filepath.Join(filepath.Dir(dir), id)); err != nil {
				return err
			}
		}
	}
	return nil
}
