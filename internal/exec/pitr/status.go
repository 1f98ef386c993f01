//go:build unix

package pitr

import "github.com/stateward/stateward/backup/pitr"

// Status is what is known of the runs of each job of a policy. No archive and no server is asked.
func Status(p pitr.Policy, o Options) (out []Record, err error) {
	dir, err := stateDir(p, o)
	if err != nil {
		return nil, err
	}
	of := &runner{p: p}
	_ = of.drop()
	for _, job := range Jobs() {
		rec, err := ReadRecord(dir, Name(p), job)
		if err != nil {
			return nil, err
		}
		if rec == nil {
			rec = &Record{ProtocolVersion: recordVersion, Name: Name(p), Job: job}
		}
		if rec.Running != nil && job != JobCheck {
			// Whoever is at work holds the lock.
			if release, err := of.lock(dir, Name(p)+".lock"); err == nil {
				release()
				rec.Killed = true
			}
		}
		out = append(out, *rec)
	}
	return out, nil
}
