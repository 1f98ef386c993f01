package nixos_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stateward/stateward"
)

func jobLines(h stateward.Host) []string {
	var out []string
	for _, j := range h.Jobs.Or(nil) {
		out = append(out, j.Engine+" "+j.Name)
		for _, p := range j.Paths.Or(nil) {
			out = append(out, "  path "+entryLine(p))
		}
		if !j.Paths.IsKnown() {
			out = append(out, "  paths = "+j.Paths.String())
		}
		valueLine(&out, "  exclude", j.Exclude)
		valueLine(&out, "  repository", j.Repository)
		valueLine(&out, "  repositoryFile", j.RepositoryFile)
		valueLine(&out, "  passwordFile", j.PasswordFile)
		valueLine(&out, "  environmentFile", j.EnvironmentFile)
		valueLine(&out, "  user", j.User)
		valueLine(&out, "  initialize", j.Initialize)
		valueLine(&out, "  schedule", j.Schedule)
		valueLine(&out, "  delay", j.RandomizedDelay)
		valueLine(&out, "  persistent", j.Persistent)
		valueLine(&out, "  options", j.Options)
		valueLine(&out, "  prune", j.Prune)
		valueLine(&out, "  pre", j.PreHook)
		valueLine(&out, "  post", j.PostHook)
		valueLine(&out, "  dynamic", j.DynamicPaths)
		valueLine(&out, "  passphrase", j.Passphrase)
	}
	return out
}

func TestJobs(t *testing.T) {
	restic := func(s string) string { return `{ systemd = { }; services.restic.backups.x = { ` + s + ` }; }` }
	borg := func(s string) string { return `{ systemd = { }; services.borgbackup.jobs.x = { ` + s + ` }; }` }
	runHosts(t, map[string]hostCase{
		"everything that is read of restic": {
			config: restic(`paths = [ "/srv" "/home/" ]; exclude = [ "*.tmp" ]; repository = "/mnt/repo"; repositoryFile = "/run/repo"; passwordFile = "/run/pw"; environmentFile = "/run/env";
				user = "backup"; initialize = true; pruneOpts = [ "--keep-daily 7" ]; timerConfig = { OnCalendar = "daily"; RandomizedDelaySec = "1h 30min"; Persistent = true; };
				backupPrepareCommand = "secret"; backupCleanupCommand = ""; dynamicFilesFrom = "find /";`),
			want: []string{"restic x", `  path "/srv"`, `  path "/home/" /home`, "  exclude = [*.tmp]", "  repository = /mnt/repo", "  repositoryFile = {/run/repo false}",
				"  passwordFile = {/run/pw false}", "  environmentFile = {/run/env false}", "  user = backup", "  initialize = true", "  schedule = [daily]",
				"  delay = 1h 30min", "  persistent = true", "  prune = [--keep-daily 7]", "  pre = true", "  post = false", "  dynamic = true"},
		},
		"R7 options that the engine is handed": {
			config: restic(`paths = [ ]; extraBackupArgs = [ "--exclude /a" "--tag x" ];`), want: []string{"restic x", "  options = [--exclude /a --tag x]"},
		},
		"R7 options and patterns of borg": {
			config: borg(`paths = [ ]; extraCreateArgs = "--stats --list"; patterns = [ "- /a" ];`), want: []string{"borg x", "  options = [--stats --list --pattern - /a]"},
		},
		"R7 options that throw": {
			config:  restic(`paths = [ ]; extraBackupArgs = throw "no";`),
			want:    []string{"restic x", "  options = unknown (services.restic.backups.x.extraBackupArgs: throw)"},
			unknown: []string{"services.restic.backups.x.extraBackupArgs [throw] "},
		},
		"N7 restic's nulls": {
			config: restic(`paths = null; repository = null; repositoryFile = null; passwordFile = null; environmentFile = null; timerConfig = null; dynamicFilesFrom = null;`),
			want:   []string{"restic x", "  paths = absent", "  dynamic = false"},
		},
		"N1 a Nix path is told apart from a text, and not copied": {
			config: restic(`paths = [ ]; passwordFile = /secrets/pw;`), want: []string{"restic x", "  passwordFile = {/secrets/pw true}"},
		},
		"several calendars, and systemd's Booleans": {
			config: restic(`paths = [ ]; timerConfig = { OnCalendar = [ "daily" "Sun 3:00" ]; RandomizedDelaySec = 90; Persistent = "no"; };`),
			want:   []string{"restic x", "  schedule = [daily Sun 3:00]", "  delay = 1min 30s", "  persistent = false"},
		},
		"N10 a timer without a calendar is a schedule all the same": {
			config: restic(`paths = [ ]; timerConfig.OnUnitActiveSec = "1d";`),
			want:   []string{"restic x", "  schedule = unknown (services.restic.backups.x.timerConfig.OnUnitActiveSec: the timer is set by OnUnitActiveSec and not by OnCalendar)"},
		},
		"a delay that is none": {
			config:  restic(`paths = [ ]; timerConfig.RandomizedDelaySec = "soon";`),
			want:    []string{"restic x", `  delay = unknown (services.restic.backups.x.timerConfig.RandomizedDelaySec: time span "soon" has no number at "soon")`},
			unknown: []string{`services.restic.backups.x.timerConfig.RandomizedDelaySec [form] time span "soon" has no number at "soon"`},
		},
		"a path that throws makes the list unknown": {
			config:  restic(`paths = [ "/a" (throw "no") ];`),
			want:    []string{"restic x", "  paths = unknown (services.restic.backups.x.paths[1]: throw)"},
			unknown: []string{"services.restic.backups.x.paths[1] [throw] "},
		},
		"everything that is read of borg": {
			config: borg(`paths = [ "/srv" ]; exclude = [ "*.tmp" ]; repo = "ssh://x/y"; user = "root"; doInit = true; startAt = "daily"; persistentTimer = true;
				prune.keep = { daily = 7; within = "1d"; }; preHook = "secret"; postHook = ""; dumpCommand = null; encryption = { mode = throw "not read"; passphrase = "secret"; passCommand = throw "not read"; };`),
			want: []string{"borg x", `  path "/srv"`, "  exclude = [*.tmp]", "  repository = ssh://x/y", "  user = root", "  initialize = true", "  schedule = [daily]",
				"  persistent = true", "  prune = [keep-daily 7 keep-within 1d]", "  pre = true", "  post = false", "  dynamic = false", "  passphrase = true"},
		},
		"N7 borg's paths as one text, and no timer": {
			config: borg(`paths = "/srv"; startAt = [ ];`), want: []string{"borg x", `  path "/srv"`},
		},
		"what borg reads from a command": {
			config: borg(`paths = null; dumpCommand = "/nix/store/x-dump"; startAt = [ "daily" "hourly" ];`),
			want:   []string{"borg x", "  paths = absent", "  schedule = [daily hourly]", "  dynamic = true"},
		},
		"one engine's jobs do not hide the other's": {
			config: `{ systemd = { }; services.restic.backups.a.paths = [ ]; services.borgbackup.jobs.b.paths = [ ]; }`,
			want:   []string{"restic a", "borg b"},
		},
	}, jobLines)
}

func TestSnapshotsAndReplication(t *testing.T) {
	show := func(h stateward.Host) []string {
		out := []string{}
		policies := func(name string, v stateward.Value[[]stateward.SnapshotPolicy]) {
			if v.IsAbsent() {
				out = append(out, "no "+name)
			}
			for _, p := range v.Or(nil) {
				out = append(out, name+" "+p.Name)
				valueLine(&out, "  templates", p.Templates)
				valueLine(&out, "  recursive", p.Recursive)
				valueLine(&out, "  schedule", p.Schedule)
				for _, k := range slices.Sorted(maps.Keys(p.Settings)) {
					valueLine(&out, "  ."+k, p.Settings[k])
				}
			}
		}
		policies("snapshots", h.Snapshots)
		policies("template", h.SnapshotTemplates)
		if h.Replications.IsAbsent() {
			out = append(out, "no replication")
		}
		for _, r := range h.Replications.Or(nil) {
			out = append(out, "replication "+r.Name)
			valueLine(&out, "  source", r.Source)
			valueLine(&out, "  target", r.Target)
			valueLine(&out, "  recursive", r.Recursive)
			valueLine(&out, "  send", r.SendOptions)
			valueLine(&out, "  recv", r.RecvOptions)
			valueLine(&out, "  args", r.ExtraArgs)
			valueLine(&out, "  schedule", r.Schedule)
		}
		return out
	}
	runHosts(t, map[string]hostCase{
		"without the options": {config: `{ systemd = { }; }`, want: []string{"no snapshots", "no template", "no replication"}},
		"N6 while they are off nothing of them is read, and nothing runs": {
			config: `{ systemd = { }; services = { sanoid = { enable = false; datasets = abort "no"; }; syncoid = { enable = false; commands = abort "no"; }; }; }`,
			want:   []string{},
		},
		"everything that is read": {
			config: `{ systemd = { }; services = {
				sanoid = { enable = true; interval = "hourly"; templates.t = { hourly = null; daily = 7; autosnap = true; };
					datasets = {
						"tank/a" = { use_template = [ "t" ]; useTemplate = [ ]; recursive = "zfs"; hourly = 36; yearly = null; process_children_only = true; processChildrenOnly = false; skip = [ "x" "y" ]; };
						"tank/b" = { useTemplate = [ "t" ]; recursive = true; processChildrenOnly = true; };
						"tank/c".recursive = false;
					}; };
				syncoid = { enable = true; interval = [ "daily" "Sun" ]; commonArgs = [ "--no-sync-snap" ]; commands = {
					"tank/a" = { source = "tank/a"; target = "u@h:b/a"; recursive = true; sendOptions = "w"; recvOptions = "u"; extraArgs = [ "--debug" ]; useCommonArgs = true; };
					own = { target = "b/own"; sendOptions = ""; useCommonArgs = false; };
				}; };
			}; }`,
			want: []string{
				"snapshots tank/a", "  templates = [t]", "  recursive = zfs", "  schedule = [hourly]", "  .hourly = 36", "  .process_children_only = true", "  .skip = x,y",
				"snapshots tank/b", "  templates = [t]", "  recursive = yes", "  schedule = [hourly]", "  .process_children_only = true",
				"snapshots tank/c", "  recursive = no", "  schedule = [hourly]",
				"template t", "  .autosnap = true", "  .daily = 7",
				"replication own", "  source = own", "  target = b/own", "  schedule = [daily Sun]",
				"replication tank/a", "  source = tank/a", "  target = u@h:b/a", "  recursive = true", "  send = w", "  recv = u", "  args = [--no-sync-snap --debug]", "  schedule = [daily Sun]",
			},
		},
		"an enable that throws": {
			config: `{ systemd = { }; services.sanoid = { enable = throw "no"; datasets = { }; }; }`,
			want:   []string{"no replication"}, unknown: []string{"services.sanoid [throw] "},
		},
	}, show)
}

// Of what services.sanoid.settings adds or changes it says so; the rest is said by where it is declared.
func TestSanoidSettings(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"S1 settings are what is written, whatever the datasets say": {
			config: `{ systemd = { }; services.sanoid = { enable = true; interval = "hourly";
				datasets = { "tank/a" = { hourly = 36; daily = null; use_template = [ "t" ]; }; "tank/gone".hourly = 1; "tank/same" = { recursive = true; processChildrenOnly = true; process_children_only = true; }; };
				templates.t = { daily = 7; autosnap = true; };
				settings = {
					"tank/a" = { hourly = 36; daily = null; weekly = 4; autosnap = false; use_template = [ "t" ]; useTemplate = [ "t" ]; };
					"tank/b" = { autosnap = "no"; recursive = "yes"; use_template = "t, u,"; useTemplate = throw "unread"; processChildrenOnly = true; };
					"tank/same" = { recursive = true; processChildrenOnly = true; process_children_only = true; };
					template_t = { daily = null; autosnap = true; };
					template_u = { monthly = 0; };
				}; }; services.syncoid.enable = false; }`,
			want: []string{
				"tank/a by services.sanoid.datasets.\"tank/a\"", "  templates = [t]", "  settings.autosnap = false", "  .hourly = 36", "  settings.weekly = 4",
				"tank/b by services.sanoid.settings.\"tank/b\"", "  templates = [t u]", "  recursive = yes", "  settings.autosnap = no",
				"tank/same by services.sanoid.datasets.\"tank/same\"", "  recursive = yes", "  .process_children_only = true",
				"t by services.sanoid.templates.t", "  .autosnap = true",
				"u by services.sanoid.settings.template_u", "  settings.monthly = 0",
			},
		},
		"S1 settings that cannot be had": {
			config: `{ systemd = { }; services.sanoid = { enable = true; datasets = { a = { hourly = 5; daily = throw "no"; }; b = throw "no"; c.hourly = 5; };
				settings = { a = { hourly = throw "two"; daily = throw "no"; }; b = throw "no"; c = throw "two"; }; }; services.syncoid.enable = false; }`,
			want: []string{
				"a by services.sanoid.datasets.a", "  .daily = unknown (services.sanoid.datasets.a.daily: throw)", "  settings.hourly = unknown (services.sanoid.settings.a.hourly: throw)",
				"b by services.sanoid.datasets.b", "  templates = unknown (services.sanoid.datasets.b: throw)", "  recursive = unknown (services.sanoid.datasets.b: throw)",
				"c by services.sanoid.datasets.c", "  templates = unknown (services.sanoid.settings.c: throw)", "  recursive = unknown (services.sanoid.settings.c: throw)",
			},
			unknown: []string{"services.sanoid.datasets.a.daily [throw] ", "services.sanoid.datasets.b [throw] ", "services.sanoid.settings.a.hourly [throw] ", "services.sanoid.settings.c [throw] "},
		},
		"S1 no settings": {
			config:  `{ systemd = { }; services.sanoid = { enable = true; datasets.a.hourly = 5; settings = throw "no"; }; services.syncoid.enable = false; }`,
			want:    []string{"unknown (services.sanoid.settings: throw)", "unknown (services.sanoid.settings: throw)"},
			unknown: []string{"services.sanoid.settings [throw] "},
		},
	}, func(h stateward.Host) []string {
		out := []string{}
		for _, v := range []stateward.Value[[]stateward.SnapshotPolicy]{h.Snapshots, h.SnapshotTemplates} {
			if v.IsUnknown() {
				out = append(out, v.String())
			}
			for _, p := range v.Or(nil) {
				out = append(out, p.Name+" by "+p.Origin.Option)
				valueLine(&out, "  templates", p.Templates)
				valueLine(&out, "  recursive", p.Recursive)
				for _, k := range slices.Sorted(maps.Keys(p.Settings)) {
					name := "  ." + k
					if strings.HasPrefix(p.Settings[k].Origin().Option, "services.sanoid.settings.") {
						name = "  settings." + k
					}
					valueLine(&out, name, p.Settings[k])
				}
			}
		}
		return out
	})
}
