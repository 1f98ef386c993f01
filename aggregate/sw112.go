package aggregate

import (
	"errors"
	"fmt"

	"github.com/stateward/stateward"
)

var sw112 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW112", Title: "path cannot hold state", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P10"},
		Doc: doc(`
A path that is persisted, backed up, or named as a place of state, a home or a key is none: it is empty or relative, contains ` + "`..`" + `, is the
root itself, or lies in ` + "`/tmp`" + `, ` + "`/run`" + `, ` + "`/nix`" + ` or the store. What is meant is not protected.

A persisted path may do without its leading slash: Impermanence and Preservation join it to ` + "`/`" + `. So an empty one is the root itself.
A path with ` + "`..`" + ` they join too, and systemd refuses the mount unit that comes of it.

Mend it by writing an absolute path.

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib/../srv"]; # write "/var/srv"
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		report := func(e stateward.Entry, service, what string, why string) {
			d := finding(e.Origin)
			d.Service, d.Path = service, e.Text
			d.Message = fmt.Sprintf("%s: %s", what, why)
			d.Hint = "write an absolute path outside of /tmp, /run and /nix"
			var pe *stateward.PathError
			if errors.As(e.Problem, &pe) {
				d.Hint = pe.Hint()
			}
			out = append(out, d)
		}
		for _, e := range f.entries {
			switch why := unpersistable(e.Path); {
			case e.Problem != nil:
				report(*e.Entry, "", "persisted path is unusable, and nothing there is kept at the next boot", e.Problem.Error())
			case why != "":
				report(*e.Entry, "", fmt.Sprintf("persisted path %q is unusable, and nothing there is kept at the next boot", e.Text), why)
			}
		}
		for _, r := range f.rows {
			if r.unread {
				continue // SW603 speaks of it
			}
			e := r.state.Entry
			switch why := unpersistable(e.Path); {
			case e.Problem != nil:
				report(e, r.service.Name, fmt.Sprintf("%s of %s is unusable", r.state.Source, r.service.Name), e.Problem.Error())
			case why != "" && !r.onlyBound():
				sp := r.state
				for also := range r.declarations() {
					if !isBound(sp.Source) {
						break
					}
					sp = also
				}
				report(sp.Entry, r.service.Name, fmt.Sprintf("%s of %s is unusable", sp.Source, r.service.Name), why)
			}
		}
		for _, r := range f.own.rows {
			if r.state.Problem == nil || notRead(r.state.Problem) {
				continue // SW603 speaks of what could not be read
			}
			what := r.state.Origin.Option + " names no place"
			switch r.service {
			case hostSecrets:
				what = r.state.Origin.Option + " names no key that can decrypt the host's secrets"
			case hostSSH:
				what = r.state.Origin.Option + " names no place for a host key"
			case hostHomes:
				what = r.state.Origin.Option + " names no home"
			}
			report(r.state.Entry, "", what, r.state.Problem.Error())
		}
		for _, j := range f.host.Jobs.Or(nil) {
			for _, p := range j.Paths.Or(nil) {
				if p.Problem != nil {
					report(p, "", fmt.Sprintf("%s job %s backs up no absolute path", j.Engine, j.Name), p.Problem.Error())
				}
			}
		}
		return out
	},
}

// onlyBound tells whether a place is only given to a container: then it may well be a socket, a device or the store.
func (r *stateRow) onlyBound() bool {
	bound := false
	return r.all(func(sp *stateward.StatePath) bool {
		bound = bound || isBound(sp.Source)
		return isBound(sp.Source) || isImplied(sp.Source)
	}) && bound
}

func isBound(source stateward.StateSource) bool {
	return source == stateward.SourceVolume || source == stateward.SourceContainer
}

// notRead tells that a path is none because it could not be evaluated.
func notRead(problem error) bool {
	var pe *stateward.PathError
	return errors.As(problem, &pe) && pe.Text == "" && pe.Advice != ""
}
