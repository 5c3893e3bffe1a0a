package cluster

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheVariable is the environment variable that replaces the directory for what is built or fetched once. It does
// not begin like the properties' names in the environment, where it would be taken for a misspelt one.
const CacheVariable = "ETL_CACHE"

// CacheDir returns the directory for what is built or fetched once: $ETL_CACHE, or streaming-etl in the user's cache
// directory.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w; set %s", err, CacheVariable)
	}
	return filepath.Join(dir, "streaming-etl"), nil
}
