package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxConfig is far more than any configuration file has.
const maxConfig = 1 << 20

// readRegular reads a file that is small and no pipe or device: of those nobody knows when they end.
func readRegular(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: name, Err: errors.New("it is no regular file")}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &os.PathError{Op: "read", Path: name, Err: fmt.Errorf("it is larger than %d KiB", limit>>10)}
	}
	return data, err
}
