package nixbridge

// SetMachineStore lets a folder stand in for /nix/store.
func (e *Evaluator) SetMachineStore(dir string) { e.machine = dir }

var (
	ReadEvaluationUpTo = readEvaluation
	SourceStorePath    = sourceStorePath
	ParseLock          = parseLock
)
