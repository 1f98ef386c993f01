package nixos

import (
	"errors"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// sources reads what a job backs up; one text is a list of one.
func sources(n *dialect.Node) stateward.Value[[]stateward.Entry] {
	texts := n.Texts()
	list := []stateward.Entry{}
	for _, t := range texts.Or(nil) {
		if why, unknown := t.Why(); unknown {
			return stateward.NotKnown[[]stateward.Entry](why)
		}
		if s, ok := t.Get(); ok {
			list = append(list, stateward.NewEntry(s, stateward.Directory, t.Origin()))
		}
	}
	return stateward.MapValue(texts, func([]stateward.Value[string]) ([]stateward.Entry, error) { return list, nil })
}

func jobUser(n *dialect.Node) stateward.Value[stateward.Owner] {
	return dialect.Understood(n, n.Filled(), stateward.ParseOwner)
}

func resticJobs(n *dialect.Node) stateward.Value[[]stateward.Job] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.Job, bool) {
		timer := n.At("timerConfig")
		delay := timer.At("RandomizedDelaySec")
		return stateward.Job{
			Name: name, Engine: "restic", Origin: n.Origin(),
			Paths:           sources(n.At("paths")),
			Exclude:         n.At("exclude").Strings(),
			Options:         n.At("extraBackupArgs").Strings(),
			Repository:      n.At("repository").Filled(),
			RepositoryFile:  n.At("repositoryFile").File(),
			PasswordFile:    n.At("passwordFile").File(),
			EnvironmentFile: n.At("environmentFile").File(),
			User:            jobUser(n.At("user")),
			Initialize:      n.At("initialize").Bool(),
			Schedule:        schedule(timer),
			RandomizedDelay: dialect.Understood(delay, delay.Filled(), stateward.ParseDuration),
			Persistent:      timer.At("Persistent").BoolLike(),
			Prune:           n.At("pruneOpts").Strings(),
			PreHook:         n.At("backupPrepareCommand").Given(),
			PostHook:        n.At("backupCleanupCommand").Given(),
			DynamicPaths:    n.At("dynamicFilesFrom").Given(),
		}, true
	})
}

// schedule reads a `timerConfig`. One that repeats without a calendar has a
// schedule too, though none that can be compared with a time of day.
func schedule(timer *dialect.Node) stateward.Value[[]string] {
	v := nonEmpty(timer.At("OnCalendar").Strings())
	if !v.IsAbsent() {
		return v
	}
	for _, trigger := range []string{"OnUnitActiveSec", "OnUnitInactiveSec", "OnActiveSec", "OnBootSec", "OnStartupSec"} {
		if t := timer.At(trigger).Filled(); t.IsKnown() {
			return stateward.MapValue(t, func(string) ([]string, error) {
				return nil, errors.New("the timer is set by " + trigger + " and not by OnCalendar")
			})
		}
	}
	return v
}

func nonEmpty(v stateward.Value[[]string]) stateward.Value[[]string] {
	if list, ok := v.Get(); ok && len(list) == 0 {
		return stateward.Absent[[]string](v.Origin())
	}
	return v
}

func borgJobs(n *dialect.Node) stateward.Value[[]stateward.Job] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.Job, bool) {
		return stateward.Job{
			Name: name, Engine: "borg", Origin: n.Origin(),
			Paths:      sources(n.At("paths")),
			Exclude:    n.At("exclude").Strings(),
			Options:    borgOptions(n),
			Repository: n.At("repo").Filled(),
			Passphrase: n.At("encryption", "passphrase").Given(),
			User:       jobUser(n.At("user")),
			Initialize: n.At("doInit").Bool(),
			Schedule:   nonEmpty(n.At("startAt").Strings()),
			Persistent: n.At("persistentTimer").Bool(),
			Prune:      borgPrune(n.At("prune", "keep")),
			PreHook:    n.At("preHook").Given(),
			PostHook:   n.At("postHook").Given(),
			// What a command prints is stored: it is known at run time only.
			DynamicPaths: n.At("dumpCommand").Given(),
		}, true
	})
}

// borgOptions are `extraCreateArgs`, a text or a list, and `patterns`, which borg is handed as options.
func borgOptions(n *dialect.Node) stateward.Value[[]string] {
	args, patterns := n.At("extraCreateArgs").Strings(), n.At("patterns").Strings()
	if args.IsUnknown() || patterns.IsAbsent() {
		return args
	}
	return stateward.MapValue(patterns, func(list []string) ([]string, error) {
		out := slices.Clone(args.Or(nil))
		for _, pattern := range list {
			out = append(out, "--pattern "+pattern)
		}
		return out, nil
	})
}

// borgPrune mirrors mkKeepArgs of nixpkgs' nixos/modules/services/backup/borgbackup.nix.
func borgPrune(n *dialect.Node) stateward.Value[[]string] {
	var why *stateward.Unknown
	v := dialect.AttrsOf(n, func(name string, n *dialect.Node) (string, bool) {
		amount := n.Scalar()
		if u, unknown := amount.Why(); unknown && why == nil {
			why = &u
		}
		return "keep-" + name + " " + amount.Or(""), amount.IsKnown()
	})
	if why != nil {
		return stateward.NotKnown[[]string](*why)
	}
	return v
}
