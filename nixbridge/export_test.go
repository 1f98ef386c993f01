package nixbridge

// SetMachineStore lets a folder stand in for /nix/store.
func (e *Evaluator) SetMachineStore(dir string) { e.machine = dir }

var (
	ReadEvaluationUpTo = readEvaluation
	SourceStorePath    = sourceStorePath
	ParseLock          = parseLock
)

// Write keeps an entry.
func (c *Cache) Write(key, host string, body []byte) error {
	return c.write(key, cacheHeader{Host: host}, body)
}
