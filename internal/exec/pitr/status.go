//go:build unix

package pitr

import (
	"cmp"

	"github.com/stateward/stateward/backup/pitr"
)

// Status is what is known of the runs of each job of a policy. No archive and no server is asked.
func Status(p pitr.Policy, o Options) (out []Record, err error) {
	for _, job := range Jobs() {
		rec, err := ReadRecord(cmp.Or(o.StateDir, pitr.StateDir), Name(p), job)
		if err != nil {
			return nil, err
		}
		if rec == nil {
			rec = &Record{ProtocolVersion: recordVersion, Name: Name(p), Job: job}
		}
		out = append(out, *rec)
	}
	return out, nil
}
