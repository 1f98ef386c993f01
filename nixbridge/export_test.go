package nixbridge

import "time"

// SetMachineStore lets a folder stand in for /nix/store.
func (e *Evaluator) SetMachineStore(dir string) { e.machine = dir }

// SetPatience bounds how long a program may take to say its version.
func (e *Evaluator) SetPatience(d time.Duration) { e.patience = d }

var (
	ParseVersion       = parseVersion
	ReadEvaluationUpTo = readEvaluation
	SourceStorePath    = sourceStorePath
	ParseLock          = parseLock
)

// Write keeps an entry.
func (c *Cache) Write(key, host string, body []byte) error {
	return c.write(key, cacheHeader{Host: host}, body)
}
