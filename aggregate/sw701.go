package aggregate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/storepath"
)

var sw701 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW701", Title: "path of state lies inside of the nix store", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P10", "N1"},
		Doc: doc(`
A persisted path, a path of a service's contract, a mount point of a dataset or a path of a backup job lies below
` + "`/nix/store`" + `. Nothing can be written there, everybody can read it, and the garbage collector takes away what no
generation uses: a service finds its directory read-only, a persisted directory hides a package, and a backup
stores a copy of what the configuration was built from, while the data it was meant for has none.

Most often a Nix path was meant as a path on the host: ` + "`./data`" + ` without quotes, or within ` + "`\"${ }\"`" + `, is a copy of that folder in the
store. Or a package's own files were named in the place of the directory that the service writes to.

For a backup job the finding is a warning. It is quiet for ` + "`/nix`" + ` and ` + "`/nix/store`" + ` themselves, which are kept as a whole where the
root is wiped, and for what a container only mounts.

Mend it by writing the path on the host as a text.

` + "```nix" + `
services.restic.backups.daily.paths = ["${./data}"]; # the copy in the store
services.restic.backups.daily.paths = ["/srv/data"]; # the data
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		report := func(o stateward.Origin, path stateward.AbsPath, severity stateward.Severity, service, format string, args ...any) {
			if !storepath.Inside(path.String()) {
				return
			}
			d := finding(o)
			d.Severity, d.Service, d.Path = severity, service, path.String()
			d.Message = fmt.Sprintf(format, args...)
			d.Hint = "name the directory that the service writes to, such as \"/var/lib/NAME\""
			if p, err := storepath.Parse(path.String()); err == nil && (p.Name == "source" && p.Sub != "" || service == "") {
				d.Hint = "write the path on the host as a text: a Nix path names the copy in the store"
			}
			out = append(out, d)
		}
		for _, e := range f.entries {
			if e.Problem == nil {
				report(e.Origin, e.Path, stateward.SeverityError, "", "%s is persisted and lies inside of the nix store: at the next boot it hides what nix put there", e.Path)
			}
		}
		for _, j := range f.host.Jobs.Or(nil) {
			for _, p := range j.Paths.Or(nil) {
				if p.Problem == nil {
					report(p.Origin, p.Path, stateward.SeverityWarning, "", "%s job %s stores %s, which lies inside of the nix store: that is a copy made when the configuration was built, and no data", j.Engine, j.Name, p.Path)
				}
			}
		}
		// What a service asks for is in both lists.
		type declaration struct {
			name   string
			origin stateward.Origin
		}
		told := map[declaration]bool{}
		dataset := func(d *stateward.Dataset, service string) {
			if d == nil || told[declaration{d.Name, d.Origin}] {
				return
			}
			told[declaration{d.Name, d.Origin}] = true
			if at, err := stateward.ParsePath(d.MountPoint.Or("")); err == nil {
				report(cmp.Or(d.MountPoint.Origin(), d.Origin), at, stateward.SeverityError, service, "dataset %s is to be mounted at %s, inside of the nix store: it hides what nix put there", d.Name, at)
			}
		}
		for _, s := range f.host.Services.Or(nil) {
			if on, known := s.Enable.Get(); known && !on {
				continue
			}
			paths, _ := s.StatePaths()
			for _, p := range paths {
				if p.Problem == nil && slices.Contains(ownState, p.Source) {
					report(p.Origin, p.Path, stateward.SeverityError, s.Name, "%s of %s lies inside of the nix store (%s): nothing can be written there", p.Source, s.Name, p.Path)
				}
			}
			dataset(s.Dataset, s.Name)
		}
		for _, d := range f.host.Datasets.Or(nil) {
			dataset(&d, "")
		}
		return out
	},
}

// ownState are the declarations by which a contract says where a service writes. What a container mounts or an option
// names as a place may well be a package.
var ownState = []stateward.StateSource{stateward.SourceDataDir, stateward.SourceBackupPaths, stateward.SourcePersistedData, stateward.SourcePersist}
