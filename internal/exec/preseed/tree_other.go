//go:build unix && !linux

package preseed

import "errors"

// uncovered needs Linux.
func uncovered(string) (dir string, done func(), err error) {
	return "", nil, errors.New("a preseed needs Linux")
}
