package nixbridge

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Portable returns the host without what differs where the same configuration is evaluated elsewhere: where definitions
// stand, and nix' own words for errors, which change from version to version. The author's words (of `throw`) stay.
// It decodes to the same host but for these.
func (h *HostEvaluation) Portable() *HostEvaluation {
	p := *h
	if h.tree != nil {
		p.tree = h.tree.Without("where")
		p.tree.EachUnknown(func(path []string, u *dialect.Value) {
			message, _, _ := u.Reason()
			if stateward.UnknownKind(u.Text()) == stateward.UnknownAbort {
				message = ""
			}
			p.tree.Explain(path, message, "", 0)
		})
	}
	return &p
}
