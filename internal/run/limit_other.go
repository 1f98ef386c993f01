//go:build unix && !linux

package run

// limitMemory does nothing: these systems have no bound that can be set from outside.
func limitMemory(int, int64) error { return nil }
