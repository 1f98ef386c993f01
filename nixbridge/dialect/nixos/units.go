package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// unit is a unit with what its service needs of it.
type unit struct {
	stateward.Unit
	attr  string
	state wordList
	// writable is ReadWritePaths.
	writable wordList
}

func units(n *dialect.Node) stateward.Value[[]unit] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (unit, bool) {
		c := n.At("serviceConfig")
		words := func(n *dialect.Node) stateward.Value[[]string] { return readWords(n).value(n.Origin()) }
		u := unit{attr: name, state: readWords(c.At("StateDirectory")), writable: readWords(c.At("ReadWritePaths"))}
		u.Unit = stateward.Unit{
			Name:   name + ".service",
			Enable: n.At("enable").Bool(),
			// A name may hold a specifier: that is no mistake, and nothing to report.
			User:                stateward.MapValue(c.At("User").Filled(), stateward.ParseOwner),
			Group:               stateward.MapValue(c.At("Group").Filled(), stateward.ParseOwner),
			DynamicUser:         c.At("DynamicUser").BoolLike(),
			StateDirectory:      u.state.value(c.At("StateDirectory").Origin()),
			StateDirectoryMode:  dialect.Understood(c.At("StateDirectoryMode"), c.At("StateDirectoryMode").Filled(), stateward.ParseMode),
			CacheDirectory:      words(c.At("CacheDirectory")),
			LogsDirectory:       words(c.At("LogsDirectory")),
			ReadWritePaths:      u.writable.value(c.At("ReadWritePaths").Origin()),
			BindPaths:           words(c.At("BindPaths")),
			WorkingDirectory:    c.At("WorkingDirectory").Filled(),
			Type:                c.At("Type").Filled(),
			After:               n.At("after").Strings(),
			Before:              n.At("before").Strings(),
			Requires:            n.At("requires").Strings(),
			Wants:               n.At("wants").Strings(),
			BindsTo:             n.At("bindsTo").Strings(),
			WantedBy:            n.At("wantedBy").Strings(),
			RequiredBy:          n.At("requiredBy").Strings(),
			Executes:            n.At("executes").Bool(),
			RequiresMountsFor:   words(n.At("unitConfig", "RequiresMountsFor")),
			MountAsserts:        mountAsserts(n.At("unitConfig")),
			DefaultDependencies: n.At("unitConfig", "DefaultDependencies").BoolLike(),
			Job:                 n.At("unitConfig", "X-Stateward-Job").Filled(),
			BaseBackup:          n.At("baseBackup").Filled(),
			MakesDatasets:       n.At("script").Strings(),
			Origin:              n.Origin(),
		}
		return u, true
	})
}

// mountAsserts are the places without whose mounts a unit does not start.
func mountAsserts(n *dialect.Node) stateward.Value[[]string] {
	v := n.At("AssertPathIsMountPoint").Strings()
	dialect.MergeWhole(&v, n.At("ConditionPathIsMountPoint").Strings())
	return v
}

func timers(n *dialect.Node) stateward.Value[[]stateward.Timer] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.Timer, bool) {
		return stateward.Timer{
			Name: name + ".timer", Enable: n.At("enable").Bool(), Persistent: n.At("timerConfig", "Persistent").BoolLike(), Origin: n.Origin(),
		}, true
	})
}

// activationScripts keeps those that name a place by which the host is known, or make datasets.
func activationScripts(n *dialect.Node) stateward.Value[[]stateward.ActivationScript] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.ActivationScript, bool) {
		// The projection gives places and, without a slash, what the text does with datasets.
		names := n.Strings()
		var makes []string
		names = stateward.MapValue(names, func(all []string) ([]string, error) {
			var places []string
			for _, s := range all {
				if strings.HasPrefix(s, "/") {
					places = append(places, s)
				} else {
					makes = append(makes, s)
				}
			}
			return places, nil
		})
		return stateward.ActivationScript{Name: name, Names: names, MakesDatasets: makes, Origin: n.Origin()}, len(makes) > 0 || !names.IsAbsent() && (names.IsUnknown() || len(names.Or(nil)) > 0)
	})
}
