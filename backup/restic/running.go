package restic

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// DigestOption is an option of the unit of a job, or of a preseed, that systemd passes over. Its value tells from which job and timer the unit was written, so that a
// configuration with the unit in it shows whether that still does what is asked for.
const DigestOption = "X-Stateward-Job"

// Digest is the value of [DigestOption] in the unit of a job. The error is that of [Job.Validate].
func (r Rendered) Digest() (string, error) {
	text, err := r.Job.Write()
	if err != nil {
		return "", err
	}
	timer, err := json.Marshal(r.Timer)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(text), timer...))
	return hex.EncodeToString(sum[:8]), nil
}

// Running are the jobs of a host as [backup.Jobs] has them, in which those that are asked for count as run that a unit runs which was written of just what is asked
// for. Stale are, by the name of the job, the units that were written of something else: what they do is not known.
func Running(h *stateward.Host) (jobs []backup.Job, stale map[string]string) {
	jobs, _ = backup.Jobs(h)
	units := map[string]stateward.Value[string]{}
	for _, u := range h.Units.Or(nil) {
		if on, known := u.Enable.Get(); (on || !known) && !u.Job.IsAbsent() {
			units[u.Name] = u.Job
		}
	}
	if len(units) == 0 {
		return jobs, nil
	}
	timers := map[string]bool{}
	for _, t := range h.Timers.Or(nil) {
		if on, known := t.Enable.Get(); on || !known {
			timers[t.Name] = true
		}
	}
	planned, _ := Plan(h, false)
	stale = map[string]string{}
	for i := range jobs {
		name := Job{Name: jobs[i].Name}.UnitName()
		written, has := units[name+".service"]
		if !jobs[i].Asked || !has {
			continue
		}
		stale[jobs[i].Name] = name + ".service"
		p := planned[i]
		if p.Job == nil || !timers[name+".timer"] {
			continue
		}
		if digest, err := (Rendered{*p.Job, p.Timer}).Digest(); err == nil && digest == written.Or("") {
			jobs[i].Asked = false
			jobs[i].Engine = stateward.Known("restic", jobs[i].Origin)
			delete(stale, jobs[i].Name)
		}
	}
	return jobs, stale
}
