package stateward

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// backups reads `stateward.backup`: the repositories that jobs may name, and what all jobs have in common.
func backups(n *dialect.Node, h *stateward.Host) {
	set(n)
	if why, unknown := n.Why(); unknown {
		h.BackupRepositories = stateward.NotKnown[[]stateward.BackupRepository](why)
		return
	}
	list := n.At("repositories")
	h.BackupRepositories = dialect.AttrsOf(list, func(name string, n *dialect.Node) (stateward.BackupRepository, bool) {
		set(n)
		r := stateward.BackupRepository{
			Name: name, Origin: n.Origin(), URL: n.At("url").Filled(), URLFile: n.At("urlFile").File(),
			PasswordFile: n.At("passwordFile").File(), EnvironmentFile: n.At("environmentFile").File(), Primary: n.At("primary").Bool(),
		}
		if !isName(name) {
			n.Wrong(stateward.UnknownForm, "its name has other than letters, digits, %q: jobs and units are named after it", "_-.")
		}
		if why, unknown := n.Why(); unknown {
			r.URL = stateward.NotKnown[string](why)
		}
		return r, true
	})
	defaults := n.At("defaults")
	set(defaults)
	if defaults.Exists() && defaults.Kind() != dialect.Null {
		d := settings(defaults)
		d.Origin = defaults.Origin()
		h.BackupDefaults = &d
	}
}

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// isName tells the name of a repository from its address.
func isName(text string) bool { return text != "" && strings.Trim(text, nameRunes) == "" }

// scalars are settings that are handed on as written.
var scalars = []string{
	"checkSubset", "lockWait", "floorPercent", "oneFileSystem", "skipIfUnchanged", "metricsDir",
	"limits.uploadKiB", "limits.downloadKiB", "limits.readConcurrency", "limits.memory", "limits.cpu", "limits.runTime", "limits.nice",
	"drill.every", "drill.sqlite", "drill.maxBytes", "notify.onStart", "notify.onSuccess", "notify.onFailure",
}

// settings reads what a job may say and the host may say for all jobs.
func settings(n *dialect.Node) stateward.Job {
	delay := n.At("randomizedDelay")
	j := stateward.Job{
		Exclude:         n.At("exclude").Strings(),
		Tags:            n.At("tags").Strings(),
		Schedule:        n.At("schedule").Strings(),
		RandomizedDelay: dialect.Understood(delay, delay.Filled(), stateward.ParseDuration),
		Persistent:      n.At("persistent").BoolLike(),
		Prune:           n.At("prune").Strings(),
		RequireNetwork:  n.At("requireNetwork").Bool(),
		Consistency:     n.At("consistency").Filled(),
	}
	j.PreHook, j.PreCommand = hook(n.At("preHook"))
	j.PostHook, j.PostCommand = hook(n.At("postHook"))
	for _, part := range []string{"limits", "drill", "notify"} {
		set(n.At(part))
	}
	j.DrillCommand = command(n.At("drill", "command"))
	for _, name := range scalars {
		if v := n.At(strings.Split(name, ".")...).Scalar(); !v.IsAbsent() && n.Kind() != dialect.Unknown {
			if j.Settings == nil {
				j.Settings = map[string]stateward.Value[string]{}
			}
			j.Settings[name] = v
		}
	}
	return j
}

// hook reads a command for bash.
func hook(n *dialect.Node) (stateward.Value[bool], stateward.Value[string]) {
	given := n.Given()
	if n.Kind() == dialect.PathValue {
		// The file is where the configuration is, and not on the machine.
		return given, stateward.NotKnown[string](n.Wrong(stateward.UnknownForm, `is a path of the configuration: write "${./hook.sh}", which copies it to the machine`))
	}
	if on, known := given.Get(); known && !on {
		return given, stateward.Absent[string](n.Origin())
	}
	return given, n.Filled()
}

// command reads a program and its arguments. A text is one for bash, as all other commands are.
func command(n *dialect.Node) stateward.Value[[]string] {
	switch n.Kind() {
	case dialect.PathValue:
		return stateward.NotKnown[[]string](n.Wrong(stateward.UnknownForm, `is a path of the configuration: write [ "${./check.sh}" ], which copies it to the machine`))
	case dialect.String:
		return stateward.MapValue(n.Filled(), func(text string) ([]string, error) { return []string{"bash", "-euo", "pipefail", "-c", text}, nil })
	}
	return n.Strings()
}

// job reads the backup that a service asks for: of its data directory and backup paths, unless it names others.
func job(name string, n, notifications *dialect.Node, s *stateward.Service) *stateward.Job {
	on := n.At("enable").Bool()
	if n.Kind() != dialect.Attrs && n.Kind() != dialect.Unknown || on.IsKnown() && !on.Or(true) {
		return nil
	}
	j := settings(n)
	j.Name, j.Engine, j.Asked, j.Service, j.Origin = name, n.At("engine").Filled().Or(Name), true, name, n.Origin()
	j.RepositoryFile = n.At("repositoryFile").File()
	j.PasswordFile = n.At("passwordFile").File()
	j.EnvironmentFile = n.At("environmentFile").File()
	j.User = owner(n.At("user"))
	j.Initialize = n.At("initialize").Bool()
	j.StopUnits = n.At("stopUnits").Strings()
	j.Priority = n.At("priority").Int()
	j.AllowEmpty = n.At("allowEmpty").Strings()
	j.Notifications = notifications.At("enable").Bool()
	dump := n.At("dump")
	set(dump)
	_, j.DumpCommand = hook(dump.At("command"))
	j.DumpDirectory = stateward.MapValue(dump.At("directory").Text(), func(text string) (stateward.Entry, error) {
		return dialect.BelowDataDir(s.DataDir, stateward.NewEntry(text, stateward.Directory, dump.At("directory").Origin())), nil
	})
	if dump.Kind() == dialect.Attrs && j.DumpCommand.IsAbsent() {
		dump.Wrong(stateward.UnknownForm, "has no command")
	}

	repository, repositories := n.At("repository"), n.At("repositories")
	j.Targets = repositories.Strings()
	one := repository.Filled()
	switch text, ok := one.Get(); {
	case !ok || !isName(text):
		j.Repository = one
	case j.Targets.IsAbsent():
		j.Targets = stateward.Known([]string{text}, repository.Origin())
	}
	if repository.Kind() == dialect.String && !repositories.Strings().IsAbsent() {
		repository.Wrong(stateward.UnknownForm, "stands beside repositories: name all of them there")
	}

	below := func(paths *dialect.Node) stateward.Value[[]stateward.Entry] {
		list, why := paths.Paths(stateward.Directory, asWritten)
		for i := range list {
			list[i] = dialect.BelowDataDir(s.DataDir, list[i])
		}
		return paths.Entries(list, why)
	}
	j.Paths, j.DrillPaths = below(n.At("paths")), below(n.At("drill", "paths"))
	if j.Paths.IsAbsent() {
		j.Paths = ownPaths(s)
	}
	return &j
}

// ownPaths are the data directory and the backup paths.
func ownPaths(s *stateward.Service) stateward.Value[[]stateward.Entry] {
	for _, why := range []func() (stateward.Unknown, bool){s.DataDir.Why, s.BackupPaths.Why} {
		if u, unknown := why(); unknown {
			return stateward.NotKnown[[]stateward.Entry](u)
		}
	}
	list := []stateward.Entry{}
	if dir, ok := s.DataDir.Get(); ok {
		list = append(list, dir)
	}
	for _, p := range s.BackupPaths.Or(nil) {
		if p = dialect.BelowDataDir(s.DataDir, p); !slices.ContainsFunc(list, func(e stateward.Entry) bool { return e.Text == p.Text }) {
			list = append(list, p)
		}
	}
	return stateward.Known(list, s.Origin)
}
