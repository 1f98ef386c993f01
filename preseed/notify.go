package preseed

import (
	"cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// notify is what is sent of a preseed: what is sent of the backup of the same service. A start is none to tell of.
func (p *hostPlanner) notify(s *stateward.Service) (out backup.Notify) {
	for _, j := range p.jobs {
		if n := j.Of.Notify(); j.Of.Service == s.Name && n.Validate() == nil {
			out.OnFailure, out.OnSuccess = cmp.Or(out.OnFailure, n.OnFailure), cmp.Or(out.OnSuccess, n.OnSuccess)
		}
	}
	return out
}
