package stateward_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/qgroget"
	dialectstateward "github.com/stateward/stateward/nixbridge/dialect/stateward"
)

func entryLine(e stateward.Entry) string {
	line := fmt.Sprintf("%s %q", e.Kind, e.Text)
	if e.Problem != nil {
		line += " ! " + e.Problem.Error()
	}
	if e.HasOwner() {
		line += fmt.Sprintf(" %s:%s %s", e.User, e.Group, e.Mode)
	}
	return line
}

func entryLines(v stateward.Value[[]stateward.Entry]) string {
	if !v.IsKnown() {
		return v.String()
	}
	var out []string
	for _, e := range v.Or(nil) {
		out = append(out, entryLine(e))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// lines shows what a host declares, without what is absent.
func lines(h stateward.Host) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, s := range h.Services.Or(nil) {
		add("%s %s %s %s:%s", s.Name, s.Enable, strings.Join(s.Units, ","), s.User, s.Group)
		if !s.DataDir.IsAbsent() || !s.BackupPaths.IsAbsent() {
			add("  dataDir %s backupPaths %s", s.DataDir.Or(stateward.Entry{}).Text, entryLines(s.BackupPaths))
		}
		paths, complete := s.StatePaths()
		for _, p := range paths {
			add("  state %s %s", p.Source, entryLine(p.Entry))
		}
		if !complete {
			add("  state %s", s.State)
		}
		for _, d := range s.Databases.Or(nil) {
			add("  database %s %s %s", d.Type, d.Name, d.User)
		}
		if p := s.Protection; p != nil {
			add("  protection %v", p.Tiers)
			for _, t := range stateward.Tiers() {
				if v, ok := p.RPO[t]; ok {
					add("    rpo %s %s", t, v)
				}
			}
		}
		if p := s.Preseed; p != nil {
			add("  preseed %s %s", p.Enable, p.Sources)
			for _, f := range []struct {
				name  string
				value fmt.Stringer
			}{
				{"onNoBackup", p.OnNoBackup}, {"reason", p.Reason}, {"maxAge", p.MaxAge}, {"timeout", p.Timeout}, {"minBytes", p.MinBytes}, {"paths", p.Paths},
				{"sqlite", p.SQLite}, {"command", p.Command}, {"staging", p.Staging}, {"from", p.From}, {"sshKey", p.SSHKey}, {"knownHosts", p.KnownHosts},
				{"repository", p.Repository},
			} {
				if text := f.value.String(); text != "absent" && !p.Enable.IsUnknown() {
					add("    %s %s", f.name, text)
				}
			}
		}
		if c := s.HealthCheck; c != nil {
			add("  health %s %s %s %s %s", c.Command, c.Interval, c.Timeout, c.StartPeriod, c.Retries)
		}
		if s.Exposure.Exposed.IsKnown() {
			add("  exposed %v", s.Exposure)
		}
	}
	if h.Services.IsUnknown() {
		add("services %s", h.Services)
	}
	for _, d := range h.Datasets.Or(nil) {
		more := ""
		if !d.Type.IsAbsent() {
			more = " " + d.Type.String()
		}
		if !d.Profile.IsAbsent() {
			more += " profile " + d.Profile.String()
		}
		add("dataset %s %s %s %v %s:%s %s%s", d.Name, d.MountPoint, d.CanMount, d.Properties, d.Owner, d.Group, d.Mode, more)
	}
	if h.Datasets.IsUnknown() {
		add("datasets %s", h.Datasets)
	}
	settings := func(j stateward.Job) {
		for _, f := range []struct {
			name  string
			value fmt.Stringer
		}{
			{"exclude", j.Exclude}, {"tags", j.Tags}, {"repository", j.Repository}, {"targets", j.Targets}, {"repositoryFile", j.RepositoryFile}, {"passwordFile", j.PasswordFile},
			{"environmentFile", j.EnvironmentFile}, {"user", j.User}, {"initialize", j.Initialize}, {"schedule", j.Schedule},
			{"randomizedDelay", j.RandomizedDelay}, {"persistent", j.Persistent}, {"prune", j.Prune}, {"stopUnits", j.StopUnits},
			{"priority", j.Priority}, {"requireNetwork", j.RequireNetwork}, {"preHook", j.PreHook}, {"preCommand", j.PreCommand}, {"postHook", j.PostHook},
			{"postCommand", j.PostCommand}, {"consistency", j.Consistency}, {"dumpCommand", j.DumpCommand}, {"allowEmpty", j.AllowEmpty},
			{"drill.command", j.DrillCommand}, {"notifications", j.Notifications},
		} {
			if text := f.value.String(); text != "absent" && !j.Paths.IsUnknown() {
				add("  %s %s", f.name, text)
			}
		}
		if dir, ok := j.DumpDirectory.Get(); ok {
			add("  dumpDirectory %s", dir.Text)
		}
		if !j.DrillPaths.IsAbsent() && !j.Paths.IsUnknown() {
			add("  drill.paths %s", entryLines(j.DrillPaths))
		}
		for _, name := range slices.Sorted(maps.Keys(j.Settings)) {
			add("  %s %s", name, j.Settings[name])
		}
	}
	for _, j := range h.Jobs.Or(nil) {
		add("job %s %s %s", j.Name, j.Engine, entryLines(j.Paths))
		settings(j)
	}
	for _, r := range h.BackupRepositories.Or(nil) {
		add("repository %s %s %s %s %s %s", r.Name, r.URL, r.URLFile, r.PasswordFile, r.EnvironmentFile, r.Primary)
	}
	for _, p := range h.PITRPolicies.Or(nil) {
		add("pitr %s %s at %s", p.Name, p.Enable, p.Origin.Option)
		for _, f := range []struct {
			name  string
			value fmt.Stringer
		}{
			{"provider", p.Provider}, {"destination", p.Destination}, {"server", p.Server}, {"cloud", p.Cloud}, {"endpoint", p.Endpoint}, {"profile", p.Profile},
			{"environmentFile", p.EnvironmentFile}, {"credentialsFile", p.CredentialsFile}, {"compression", p.Compression}, {"encryption", p.Encryption},
			{"schedule", p.Schedule}, {"window", p.Window}, {"redundancy", p.Redundancy}, {"archiveTimeout", p.ArchiveTimeout}, {"drill.every", p.DrillEvery},
			{"onStart", p.OnStart}, {"onSuccess", p.OnSuccess}, {"onFailure", p.OnFailure}, {"metricsDir", p.MetricsDir}, {"dataDir", p.Cluster.DataDir},
			{"walDir", p.Cluster.WALDir}, {"user", p.Cluster.User}, {"socket", p.Cluster.Socket}, {"unit", p.Cluster.Unit}, {"binDir", p.Cluster.BinDir},
			{"version", p.Cluster.Version}, {"port", p.Cluster.Port},
		} {
			if text := f.value.String(); text != "absent" {
				add("  %s %s", f.name, text)
			}
		}
	}
	if d := h.BackupDefaults; d != nil {
		add("defaults")
		settings(*d)
	}
	for _, a := range h.Acknowledgements.Or(nil) {
		a.Origin = stateward.Origin{Option: a.Origin.Option}
		add("accepts %+v", a)
	}
	return out
}

func unknowns(h stateward.Host) []string {
	var out []string
	for _, u := range h.Unknown {
		message, _, _ := strings.Cut(u.Message, ": there are ")
		out = append(out, fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, message))
	}
	return out
}

// A misspelt field names the one that was meant, and one that is like none those that there are.
func TestFieldsThatWereMeantAreNamed(t *testing.T) {
	h := evaltest.Decode(t, dialectstateward.Dialect(), `{ config.stateward = { services.x = { enable = true; backupPath = [ "/a" ]; backup = { paths = [ ]; scheduel = "daily"; }; protection.size = 1; persist.files = [ { file = "/a"; mod = "0600"; } ]; }; pitr.a.windw = "1d"; acknowledge = [ { code = "SW101"; reson = "x"; service = "x"; } ]; }; }`)[0]
	var got []string
	for _, u := range h.Unknown {
		got = append(got, u.Subject+" "+u.Message)
	}
	slices.Sort(got)
	require.Empty(t, cmp.Diff([]string{
		"stateward.acknowledge[0].reson stateward knows no such field: did you mean reason?",
		"stateward.pitr.a.windw stateward knows no such field: did you mean window?",
		"stateward.services.x.backup.scheduel stateward knows no such field: did you mean schedule?",
		"stateward.services.x.backupPath stateward knows no such field: did you mean backupPaths?",
		"stateward.services.x.persist.files[0].mod stateward knows no such field: did you mean mode?",
		"stateward.services.x.protection.size stateward knows no such field: there are rpo, tiers",
	}, got))
}

func TestContract(t *testing.T) {
	cases := map[string]struct {
		// config stands for config.stateward.
		config        string
		want, unknown []string
	}{
		"nothing": {config: `{ }`},
		"a service that states nothing": {
			config: `{ services.x.enable = true; }`, want: []string{"x true  absent:absent"},
		},
		"units": {
			config: `{ services.x = { enable = true; unit = "x"; units = [ "y.timer" "x.service" ]; }; }`,
			want:   []string{"x true y.timer,x.service absent:absent"},
		},
		"state": {
			config: `{ services.x = { enable = true; dataDir = "/a"; backupPaths = [ "b" [ "/c" ] ]; persist = { directories = [ "/d" { directory = "/e"; user = "root"; mode = "0700"; } ]; files = "/f"; }; }; }`,
			want: []string{"x true  absent:absent", `  dataDir /a backupPaths [directory "b" ! path "b" is not absolute, directory "/c"]`,
				`  state dataDir directory "/a"`, `  state backupPaths directory "/a/b"`, `  state backupPaths directory "/c"`,
				`  state persist directory "/d"`, `  state persist directory "/e" root:absent 0700`, `  state persist file "/f"`},
		},
		"B7 places belong to the service's user": {
			config: `{ services.x = { enable = true; user = "x"; group = "g"; dataDir = "/a"; persist.directories = [ { directory = "/b"; user = "y"; } ]; }; }`,
			want:   []string{"x true  x:g", `  dataDir /a backupPaths absent`, `  state dataDir directory "/a" x:g absent`, `  state persist directory "/b" y:g absent`},
		},
		"P10 a path that is none": {
			config: `{ services.x = { enable = true; persist.directories = [ "a" { user = "x"; } ]; }; }`,
			want: []string{"x true  absent:absent", `  state persist directory "a" ! path "a" is not absolute`,
				"  state unknown (stateward.services.x.persist.directories[1]: expected a path, found an attribute set)"},
			unknown: []string{"stateward.services.x.persist.directories[1] [type] expected a path, found an attribute set"},
		},
		"a dataset at the data directory": {
			config: `{ services.x = { enable = true; dataDir = "/a"; dataset = { name = "tank/x"; properties = { recordsize = "16K"; copies = 2; atime = null; }; owner = "x"; mode = "0750"; }; }; }`,
			want: []string{"x true  absent:absent", `  dataDir /a backupPaths absent`, `  state dataDir directory "/a"`,
				"dataset tank/x /a absent map[copies:2 recordsize:16K] x:absent 0750"},
		},
		"a dataset elsewhere": {
			config: `{ services.x = { enable = true; dataDir = "/a"; dataset = { name = "tank/x"; mountpoint = "none"; canmount = "off"; }; }; }`,
			want: []string{"x true  absent:absent", `  dataDir /a backupPaths absent`, `  state dataDir directory "/a"`,
				"dataset tank/x none off map[] absent:absent absent"},
		},
		"a volume is mounted nowhere": {
			config: `{ services.x = { enable = true; dataDir = "/a"; dataset = { name = "tank/x"; type = "volume"; properties.volsize = "10G"; }; }; }`,
			want: []string{"x true  absent:absent", `  dataDir /a backupPaths absent`, `  state dataDir directory "/a"`,
				"dataset tank/x absent absent map[volsize:10G] absent:absent absent volume"},
		},
		"a dataset without a name": {
			config:  `{ services.x = { enable = true; dataset.mountpoint = "/a"; }; }`,
			want:    []string{"x true  absent:absent"},
			unknown: []string{"stateward.services.x.dataset [form] has no name: name the dataset, such as tank/services/NAME"},
		},
		"a dataset that throws may be one": {
			config: `{ services.x = { enable = true; dataset = throw "no"; }; }`,
			want:   []string{"x true  absent:absent", "datasets unknown (stateward.services.x.dataset: throw)"}, unknown: []string{"stateward.services.x.dataset [throw] "},
		},
		"a backup of what is state": {
			config: `{ services.x = { enable = true; dataDir = "/a"; backupPaths = [ "b" ]; persist.directories = [ "/c" ]; backup = { }; }; }`,
			want: []string{"x true  absent:absent", `  dataDir /a backupPaths [directory "b" ! path "b" is not absolute]`, `  state dataDir directory "/a"`,
				`  state backupPaths directory "/a/b"`, `  state persist directory "/c"`, `job x stateward [directory "/a", directory "/a/b"]`},
		},
		"a backup with all that it may have": {
			config: `{ services.x = { enable = true; backup = { engine = "restic"; paths = "/a"; exclude = [ "*.tmp" ]; repository = "/r"; repositoryFile = "/r"; passwordFile = "/p"; environmentFile = "/e"; user = "x";
				initialize = true; schedule = [ "daily" ]; randomizedDelay = 90; persistent = true; prune = [ "--keep-daily 7" ]; stopUnits = [ "x.service" ]; priority = 5; requireNetwork = true;
				preHook = "a secret"; postHook = null; }; }; }`,
			want: []string{"x true  absent:absent", `job x restic [directory "/a"]`, "  exclude [*.tmp]", "  repository /r", "  repositoryFile {/r false}",
				"  passwordFile {/p false}", "  environmentFile {/e false}", "  user x", "  initialize true", "  schedule [daily]", "  randomizedDelay 1min 30s",
				"  persistent true", "  prune [--keep-daily 7]", "  stopUnits [x.service]", "  priority 5", "  requireNetwork true", "  preHook true", "  preCommand a secret"},
		},
		"R10 repositories by name, and what jobs have in common": {
			config: `{ backup = {
					repositories = { nas = { url = "sftp:nas:/r"; passwordFile = "/p"; primary = true; }; offsite = { urlFile = "/u"; passwordFile = "/q"; environmentFile = "/e"; }; };
					defaults = { schedule = "daily"; randomizedDelay = "1h"; prune = [ "--keep-daily 7" ]; exclude = "*.tmp"; consistency = "snapshot"; checkSubset = "1%"; limits = { memory = "2G"; nice = 19; }; };
				};
				services.x = { enable = true; backup = { paths = "/a"; repositories = [ "nas" "offsite" ]; allowEmpty = [ "/a" ]; }; };
				services.y = { enable = true; dataDir = "/y"; backup = { paths = "/a"; repository = "nas"; consistency = "dump"; dump = { command = "pg_dump y"; directory = "dump"; }; limits.cpu = "50%"; }; };
			}`,
			want: []string{"x true  absent:absent", "y true  absent:absent", "  dataDir /y backupPaths absent", `  state dataDir directory "/y"`,
				`job x stateward [directory "/a"]`, "  targets [nas offsite]", "  allowEmpty [/a]",
				`job y stateward [directory "/a"]`, "  targets [nas]", "  consistency dump", "  dumpCommand pg_dump y", "  dumpDirectory /y/dump", "  limits.cpu 50%",
				"repository nas sftp:nas:/r absent {/p false} absent true", "repository offsite absent {/u false} {/q false} {/e false} absent",
				"defaults", "  exclude [*.tmp]", "  schedule [daily]", "  randomizedDelay 1h", "  prune [--keep-daily 7]", "  consistency snapshot", "  checkSubset 1%", "  limits.memory 2G", "  limits.nice 19"},
		},
		"R10 what is no repository and no default": {
			config: `{ backup = { repositories = { "a b" = { }; nas = "sftp:nas:/r"; }; defaults = { paths = "/a"; preHook = ./x; limits.ram = "2G"; }; repository = { }; };
				services.x = { enable = true; backup = { paths = "/a"; dump.directory = "/d"; repository = "nas"; repositories = [ "nas" ]; }; }; }`,
			want: []string{"x true  absent:absent", `job x stateward [directory "/a"]`, "  targets [nas]", "  dumpDirectory /d",
				"repository a b absent absent absent absent absent", "repository nas absent absent absent absent absent", "defaults", "  preHook true",
				"  preCommand unknown (stateward.backup.defaults.preHook: is a path of the configuration: write \"${./hook.sh}\", which copies it to the machine)"},
			unknown: []string{
				`stateward.backup.defaults.limits.ram [form] stateward knows no such field`,
				`stateward.backup.defaults.paths [form] stateward knows no such field`,
				`stateward.backup.defaults.preHook [form] is a path of the configuration: write "${./hook.sh}", which copies it to the machine`,
				`stateward.backup.repositories."a b" [form] its name has other than letters, digits, "_-.": jobs and units are named after it`,
				`stateward.backup.repositories.nas [type] expected an attribute set, found a string`,
				`stateward.backup.repository [form] stateward knows no such field`,
				`stateward.services.x.backup.dump [form] has no command`,
				`stateward.services.x.backup.repository [form] stands beside repositories: name all of them there`,
			},
		},
		"R13 drills and notifications": {
			config: `{ backup.defaults = { drill = { every = "30d"; sqlite = false; command = "test -e x"; }; notify.onFailure = "critical"; };
				services.x = { enable = true; dataDir = "/x"; backup = { drill = { every = "2w"; paths = [ "media" "/x/db" ]; maxBytes = 1000; command = [ "/bin/look" "-v" ]; };
					notify = { onStart = "start"; onSuccess = "success"; onFailure = "failure"; }; }; notifications.enable = true; }; }`,
			want: []string{"x true  absent:absent", "  dataDir /x backupPaths absent", `  state dataDir directory "/x"`, `job x stateward [directory "/x"]`, "  drill.command [/bin/look -v]", "  notifications true",
				`  drill.paths [directory "/x/media", directory "/x/db"]`, "  drill.every 2w", "  drill.maxBytes 1000", "  notify.onFailure failure", "  notify.onStart start", "  notify.onSuccess success",
				"defaults", "  drill.command [bash -euo pipefail -c test -e x]", "  drill.every 30d", "  drill.sqlite false", "  notify.onFailure critical"},
		},
		"R10 what is no drill and no notification": {
			config: `{ backup.defaults.drill.paths = [ "/x" ]; services.x = { enable = true; backup = { paths = "/a"; drill = { often = "1d"; command = ./x; }; notify = "failure"; }; }; 
				services.y = { enable = true; backup = { paths = "/a"; drill = "30d"; notify.on = "failure"; }; }; }`,
			want: []string{"x true  absent:absent", "y true  absent:absent", `job x stateward [directory "/a"]`,
				"  drill.command unknown (stateward.services.x.backup.drill.command: is a path of the configuration: write [ \"${./check.sh}\" ], which copies it to the machine)",
				`job y stateward [directory "/a"]`, "defaults"},
			unknown: []string{
				"stateward.backup.defaults.drill.paths [form] stateward knows no such field",
				`stateward.services.x.backup.drill.command [form] is a path of the configuration: write [ "${./check.sh}" ], which copies it to the machine`,
				"stateward.services.x.backup.drill.often [form] stateward knows no such field",
				"stateward.services.x.backup.notify [type] expected an attribute set, found a string",
				"stateward.services.y.backup.drill [type] expected an attribute set, found a string",
				"stateward.services.y.backup.notify.on [form] stateward knows no such field",
			},
		},
		"a backup that is off":           {config: `{ services.x = { enable = true; backup = { enable = false; paths = "/a"; }; }; }`, want: []string{"x true  absent:absent"}},
		"P11 nothing of one that is off": {config: `{ services.x = { enable = false; dataDir = "/a"; dataset.name = "tank/x"; backup = { }; }; }`, want: []string{"x false  absent:absent", `  dataDir /a backupPaths absent`, `  state dataDir directory "/a"`}},
		"N6 one that is off needs no values": {
			config: `{ services.x = { enable = false; dataDir = throw "no"; dataset.name = throw "no"; persist.directories = [ (throw "no") ]; databases = [ { } ]; dataset = { }; }; }`, want: []string{"x false  absent:absent", "  state unknown (stateward.services.x.persist.directories[0]: throw)", "  database absent absent absent"},
		},
		"one without an enable may run": {
			config:  `{ services.x = { dataDir = "/a"; dataset.name = "tank/x"; }; }`,
			want:    []string{"x unknown (stateward.services.x: has no enable)  absent:absent", "  dataDir /a backupPaths absent", `  state dataDir directory "/a"`, "dataset tank/x /a unknown (stateward.services.x: has no enable) map[] absent:absent absent"},
			unknown: []string{"stateward.services.x [form] has no enable"},
		},
		"databases": {
			config:  `{ services.x = { enable = true; databases = [ "a" { type = "postgresql"; name = "b"; user = "u"; } { type = "redis"; } ]; }; }`,
			want:    []string{"x true  absent:absent", "  database absent a absent", "  database postgresql b u", "  database redis absent absent"},
			unknown: []string{"stateward.services.x.databases[2] [form] has no name: name the database"},
		},
		"protection": {
			config: `{ services = { x = { enable = true; protection = { tiers = [ "reboot" "site" "reboot" ]; rpo.site = "1d"; rpo.rollback = "15m"; }; }; y = { enable = true; protection = { tiers = [ "disk" ]; rpo = "1h"; }; }; }; }`,
			want: []string{"x true  absent:absent", "  protection [reboot site]", "    rpo rollback 15min", "    rpo site 1d",
				"y true  absent:absent", "  protection [disk]", "    rpo disk 1h"},
		},
		"a tier and a span that are none": {
			config: `{ services.x = { enable = true; protection = { tiers = [ "moon" ]; rpo = { sun = "1d"; site = "soon"; }; }; }; }`,
			want:   []string{"x true  absent:absent", "  protection []", `    rpo site unknown (stateward.services.x.protection.rpo.site: time span "soon" has no number at "soon")`},
			unknown: []string{`stateward.services.x.protection.rpo.site [form] time span "soon" has no number at "soon"`,
				`stateward.services.x.protection.rpo.sun [form] tier "sun" is none of reboot, rollback, disk, site, rebuild, point-in-time`,
				`stateward.services.x.protection.tiers[0] [form] tier "moon" is none of reboot, rollback, disk, site, rebuild, point-in-time`},
		},
		"what is reserved": {
			config: `{ services.x = { enable = true;
				resources = { memory = "1G"; cpus = "2"; }; notifications = { channels = [ "mail" ]; priority = "high"; }; }; }`,
			want: []string{"x true  absent:absent"},
		},
		"how PostgreSQL is archived": {
			config: `{ pitr.postgresql = { destination = "s3://b/pg"; server = "forge"; cloud = "aws-s3"; endpoint = "https://s3"; profile = "p"; environmentFile = "/run/e"; credentialsFile = "/run/c";
				provider = "barman-cloud"; compression = "gzip"; encryption = "AES256"; schedule = "daily"; window = "14d"; redundancy = 2; archiveTimeout = "5min"; metricsDir = "/m";
				drill.every = "30d"; notify = { onStart = "a"; onSuccess = "b"; onFailure = "c"; };
				cluster = { dataDir = "/d"; walDir = "/w"; version = 17; user = "postgres"; socket = "/run/postgresql"; port = 5433; unit = "pg.service"; binDir = "/b"; }; };
				pitr.off = { enable = false; destination = throw "no"; }; }`,
			want: []string{"pitr off false at stateward.pitr.off", "pitr postgresql true at stateward.pitr.postgresql", "  provider barman-cloud", "  destination s3://b/pg", "  server forge",
				"  cloud aws-s3", "  endpoint https://s3", "  profile p", "  environmentFile {/run/e false}", "  credentialsFile {/run/c false}", "  compression gzip", "  encryption AES256",
				"  schedule [daily]", "  window 2w", "  redundancy 2", "  archiveTimeout 5min", "  drill.every 4w 2d", "  onStart a", "  onSuccess b", "  onFailure c", "  metricsDir /m",
				"  dataDir /d", "  walDir /w", "  user postgres", "  socket /run/postgresql", "  unit pg.service", "  binDir /b", "  version 17", "  port 5433"},
		},
		"N1 how PostgreSQL is archived, wrongly": {
			config: `{ pitr.a = { window = "soon"; redundancy = -1; destinaton = "s3://b"; drill = 1; server = throw "no"; }; pitr.b = throw "no"; pitr.c = 1; pitr."d e" = { }; }`,
			want: []string{"pitr a true at stateward.pitr.a", "  server unknown (stateward.pitr.a.server: throw)", `  window unknown (stateward.pitr.a.window: time span "soon" has no number at "soon")`,
				"  redundancy unknown (stateward.pitr.a.redundancy: -1 is less than zero)", "pitr b unknown (stateward.pitr.b: throw) at stateward.pitr.b",
				"pitr c unknown (stateward.pitr.c: expected an attribute set, found an integer) at stateward.pitr.c", `pitr d e true at stateward.pitr."d e"`},
			unknown: []string{
				`stateward.pitr."d e" [form] its name has other than letters, digits, "_-.": files and units are named after it`,
				"stateward.pitr.a.destinaton [form] stateward knows no such field: did you mean destination?", "stateward.pitr.a.drill [type] expected an attribute set, found an integer",
				"stateward.pitr.a.redundancy [form] -1 is less than zero", "stateward.pitr.a.server [throw] ",
				`stateward.pitr.a.window [form] time span "soon" has no number at "soon"`, "stateward.pitr.b [throw] ", "stateward.pitr.c [type] expected an attribute set, found an integer"},
		},
		"a preseed": {
			config: `{ services.x = { enable = true; preseed = { sources = [ "local" "syncoid" "restic" ]; onNoBackup = "start-empty"; reason = "a cache";
				maxAge = "30d"; timeout = "2h"; minBytes = 1000; paths = [ "db" ]; validate = { sqlite = true; command = [ "/bin/a" "b" ]; };
				staging = "tank/st"; from = "u@nas:b/x"; sshKey = "/k"; knownHosts = "/h"; repository = "nas"; }; };
				services.y = { enable = true; preseed.enable = false; }; services.z = { enable = true; preseed = { sources = "restic"; validate.command = "test -e $1/x"; }; };
				services.zz = { enable = true; preseed.sources = [ "pitr" "restic" ]; }; }`,
			want: []string{"x true  absent:absent", "  preseed true [local replica restic]", "    onNoBackup start-empty", "    reason a cache", "    maxAge 4w 2d", "    timeout 2h",
				"    minBytes 1000", "    paths [db]", "    sqlite true", "    command [/bin/a b]", "    staging tank/st", "    from u@nas:b/x", "    sshKey /k",
				"    knownHosts /h", "    repository nas",
				"y true  absent:absent", "  preseed false absent", "z true  absent:absent", "  preseed true [restic]", "    command [bash -euo pipefail -c test -e $1/x bash]",
				"zz true  absent:absent", "  preseed true [pitr restic]"},
		},
		"E7 a preseed that is none": {
			config: `{ services.x = { enable = true; preseed = { sources = [ "zfs" "local" "local" ]; onNoBackup = "whatever"; maxAge = "soon"; minBytes = -1; }; };
				services.y = { enable = true; preseed = { sources = [ ]; sources_ = 1; validate.x = 1; }; }; services.z = { enable = true; preseed = throw "no"; };
				services.zz = { enable = true; preseed = true; }; services.zzz = { enable = true; preseed = null; }; }`,
			want: []string{"x true  absent:absent",
				"  preseed true unknown (stateward.services.x.preseed.sources: source \"zfs\" is none of local, replica, restic, pitr)",
				"    onNoBackup unknown (stateward.services.x.preseed.onNoBackup: policy \"whatever\" is none of refuse, start-empty)",
				"    maxAge unknown (stateward.services.x.preseed.maxAge: time span \"soon\" has no number at \"soon\")",
				"    minBytes unknown (stateward.services.x.preseed.minBytes: -1 is no number of bytes)",
				"y true  absent:absent", "  preseed true []", "z true  absent:absent", "  preseed unknown (stateward.services.z.preseed: throw) unknown (stateward.services.z.preseed: throw)",
				"zz true  absent:absent", "  preseed unknown (stateward.services.zz.preseed: expected an attribute set, found a Boolean) absent", "zzz true  absent:absent"},
			unknown: []string{
				`stateward.services.x.preseed.maxAge [form] time span "soon" has no number at "soon"`,
				`stateward.services.x.preseed.minBytes [form] -1 is no number of bytes`,
				`stateward.services.x.preseed.onNoBackup [form] policy "whatever" is none of refuse, start-empty`,
				`stateward.services.x.preseed.sources [form] source "zfs" is none of local, replica, restic, pitr`,
				"stateward.services.y.preseed.sources_ [form] stateward knows no such field: did you mean sources?", "stateward.services.y.preseed.validate.x [form] stateward knows no such field",
				"stateward.services.z.preseed [throw] ", "stateward.services.zz.preseed [type] expected an attribute set, found a Boolean"},
		},
		"a health check": {
			config: `{ services.x = { enable = true; healthCheck = { command = "curl localhost"; retries = 3; startPeriod = "5m"; timeout = "10s"; }; };
				services.y = { enable = true; healthCheck = { enable = false; }; }; }`,
			want: []string{"x true  absent:absent", "  health curl localhost absent 10s 5min 3", "y true  absent:absent"},
		},
		"a health check that is none": {
			config: `{ services.x = { enable = true; healthCheck = { retries = 0; interval = "soon"; }; }; }`,
			want:   []string{"x true  absent:absent", "  health absent unknown (stateward.services.x.healthCheck.interval: time span \"soon\" has no number at \"soon\") absent absent unknown (stateward.services.x.healthCheck.retries: \"0\" is no number of tries: write 1 or more)"},
			unknown: []string{"stateward.services.x.healthCheck [form] has no command: write what ends with status 0 while the service works",
				`stateward.services.x.healthCheck.interval [form] time span "soon" has no number at "soon"`,
				`stateward.services.x.healthCheck.retries [form] "0" is no number of tries: write 1 or more`},
		},
		"a workload, and tags": {
			config: `{ services.x = { enable = true; dataset = { name = "t/x"; profile = "sqlite"; }; backup.tags = [ "a" "b" ]; }; }`,
			want: []string{"x true  absent:absent", "dataset t/x absent absent map[] absent:absent absent profile sqlite",
				"job x stateward []", "  tags [a b]"},
		},
		"no field is dropped silently": {
			config: `{ foo = 1; services.x = { enable = true; datadir = "/a"; persist = { directory = "/a"; directories = { directory = "/b"; owner = "x"; }; files = [ { path = "/f"; file = "/g"; } ]; };
				dataset = { name = "t/x"; recordsize = "16K"; }; backup.cron = "x"; protection.tier = 1; exposure.host = "x"; databases = [ { name = "a"; db = "b"; } ];
				preseed.x = 1; healthCheck.x = 1; notifications.x = 1; resources.x = 1; }; acknowledge = [ { code = "SW101"; reason = "r"; Path = "/a"; } ]; }`,
			want: []string{"x true  absent:absent", `  state persist directory "/b"`, `  state persist file "/g"`, "  database absent a absent", "  protection []", "  preseed true absent",
				"  health absent absent absent absent absent", "dataset t/x absent absent map[] absent:absent absent", "job x stateward []"},
			unknown: []string{
				"stateward.acknowledge[0].Path [form] stateward knows no such field: did you mean path?", "stateward.foo [form] stateward knows no such field",
				"stateward.services.x.backup.cron [form] stateward knows no such field", "stateward.services.x.databases[0].db [form] stateward knows no such field",
				"stateward.services.x.datadir [form] stateward knows no such field: did you mean dataDir?", "stateward.services.x.dataset.recordsize [form] stateward knows no such field",
				"stateward.services.x.exposure.host [form] stateward knows no such field: did you mean port?", "stateward.services.x.healthCheck [form] has no command: write what ends with status 0 while the service works",
				"stateward.services.x.healthCheck.x [form] stateward knows no such field",
				"stateward.services.x.notifications.x [form] stateward knows no such field", "stateward.services.x.persist.directories[0].owner [form] stateward knows no such field",
				"stateward.services.x.persist.directory [form] stateward knows no such field", "stateward.services.x.persist.files[0].path [form] stateward knows no such field",
				"stateward.services.x.preseed.x [form] stateward knows no such field", "stateward.services.x.protection.tier [form] stateward knows no such field: did you mean tiers?",
				"stateward.services.x.resources.x [form] stateward knows no such field",
			},
		},
		"values of another type are told": {
			config: `{ services.x = { enable = 1; user = "a b"; dataset = "tank/x"; backup = true; }; }`,
			want:   []string{"x unknown (stateward.services.x.enable: expected a Boolean, found an integer)  unknown (stateward.services.x.user: owner \"a b\" contains \" \"):absent"},
			unknown: []string{"stateward.services.x.backup [type] expected an attribute set, found a Boolean", "stateward.services.x.dataset [type] expected an attribute set, found a string",
				"stateward.services.x.enable [type] expected a Boolean, found an integer", `stateward.services.x.user [form] owner "a b" contains " "`},
		},
		"N4 a service that throws hides no other": {
			config: `{ services = { a = throw "no"; b = { enable = true; dataDir = "/b"; }; }; }`,
			want: []string{"a unknown (stateward.services.a: throw)  unknown (stateward.services.a: throw):unknown (stateward.services.a: throw)",
				"  dataDir  backupPaths unknown (stateward.services.a: throw)", "  state unknown (stateward.services.a: throw)",
				"  preseed unknown (stateward.services.a: throw) unknown (stateward.services.a: throw)",
				"b true  absent:absent", "  dataDir /b backupPaths absent", `  state dataDir directory "/b"`,
				"datasets unknown (stateward.services.a: throw)", "job a stateward unknown (stateward.services.a: throw)"},
			unknown: []string{"stateward.services.a [throw] "},
		},
		"N4 services that throw as a whole": {
			config:  `{ services = throw "no"; }`,
			want:    []string{"services unknown (stateward.services: throw)", "datasets unknown (stateward.services: throw)"},
			unknown: []string{"stateward.services [throw] "},
		},
		"acknowledgements": {
			config: `{ acknowledge = [ { code = "SW101"; host = "h"; service = "x"; subject = "a.b"; path = "/a"; reason = "r"; until = "2027-01-31"; } { code = "SW102"; } ]; }`,
			want: []string{"accepts {Code:SW101 Host:h Service:x Subject:a.b Path:/a Reason:r Until:2027-01-31 Origin:stateward.acknowledge[0]}",
				"accepts {Code:SW102 Host: Service: Subject: Path: Reason: Until: Origin:stateward.acknowledge[1]}"},
		},
		"acknowledgements that cannot be read accept nothing": {
			config: `{ acknowledge = [ { reason = "r"; } { code = "SW101"; path = throw "no"; reason = "r"; } "SW101" (throw "no") ]; }`,
			unknown: []string{"stateward.acknowledge[0] [form] has no code: name the finding that it accepts, such as SW101", "stateward.acknowledge[1].path [throw] ",
				"stateward.acknowledge[2] [type] expected an attribute set with code and reason, found a string", "stateward.acknowledge[3] [throw] "},
		},
	}
	names := slices.Sorted(maps.Keys(cases))
	var texts []string
	for _, name := range names {
		texts = append(texts, "{ config.stateward = "+cases[name].config+"; }")
	}
	hosts := evaltest.Decode(t, dialectstateward.Dialect(), texts...)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(cases[name].want, lines(hosts[i])); d != "" {
				t.Errorf("want -, got +\n%s", d)
			}
			if d := cmp.Diff(cases[name].unknown, unknowns(hosts[i])); d != "" {
				t.Errorf("unknown: want -, got +\n%s", d)
			}
		})
	}
}

// The example of the documentation is evaluated, and gives what it says.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/contract.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(doc), "## An example\n\n```nix\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	h := evaltest.Decode(t, dialectstateward.Dialect(), "{ config = "+example+"; }")[0]
	require.Empty(t, unknowns(h))
	want := []string{
		"paperless true paperless-web.service paperless:paperless",
		`  dataDir /var/lib/paperless backupPaths [directory "media" ! path "media" is not absolute, directory "/srv/scans"]`,
		`  state dataDir directory "/var/lib/paperless" paperless:paperless absent`,
		`  state backupPaths directory "/var/lib/paperless/media" paperless:paperless absent`,
		`  state backupPaths directory "/srv/scans" paperless:paperless absent`,
		`  state persist directory "/var/lib/paperless-index" paperless:paperless absent`,
		`  state persist directory "/var/lib/paperless-keys" paperless:paperless 0700`,
		`  state persist file "/etc/paperless.key" root:root 0400`,
		"  database postgresql paperless paperless",
		"  protection [reboot rollback site]", "    rpo rollback 1h", "    rpo site 1d",
		"  preseed true [local restic]", "    onNoBackup refuse", "    maxAge 4w 2d", "    sqlite true",
		"dataset tank/services/paperless /var/lib/paperless absent map[compression:zstd recordsize:16K] paperless:paperless 0750",
		`job paperless stateward [directory "/var/lib/paperless", directory "/var/lib/paperless/media", directory "/srv/scans"]`,
		"  exclude [*.tmp]", "  targets [nas offsite]", "  schedule [daily]", "  prune [--keep-daily 7 --keep-weekly 5]", "  consistency quiesce",
		"  drill.every 30d", "  notify.onFailure critical",
		"repository nas sftp:backup@nas:/srv/restic/forge absent {/run/secrets/restic false} absent true",
		"repository offsite absent {/run/secrets/offsite-url false} {/run/secrets/offsite false} {/run/secrets/s3 false} absent",
		"defaults", "  randomizedDelay 30min", "  checkSubset 1%", "  limits.nice 19",
		"accepts {Code:SW101 Host: Service:prometheus Subject: Path:/var/lib/prometheus2 Reason:metrics of a week are not missed Until:2027-01-31 Origin:stateward.acknowledge[0]}",
	}
	if d := cmp.Diff(want, lines(h)); d != "" {
		t.Errorf("want -, got +\n%s", d)
	}
}

// decodeJSON decodes what a projection would have read.
func decodeJSON(t require.TestingT, d dialect.Dialect, sections map[string]any) stateward.Host {
	text, err := json.Marshal(map[string]any{"detected": true, "sections": sections})
	require.NoError(t, err)
	v, err := dialect.Parse(string(text), 64)
	require.NoError(t, err)
	tree, err := dialect.NewTree(v)
	require.NoError(t, err)
	var h stateward.Host
	d.Decode(tree.Root(), &h)
	h.AddUnknown(tree.Unknowns()...)
	return h
}

// A service that says the same in both contracts gives the same answer.
func TestSameServiceInEitherContract(t *testing.T) {
	path := rapid.SampledFrom([]any{"/a", "/a/b", "/var/lib/x", "b", "../c", "", "/d//e/", nil, 5})
	rapid.Check(t, func(t *rapid.T) {
		fields := map[string]any{"enable": rapid.SampledFrom([]any{true, false, nil}).Draw(t, "enable")}
		if v := path.Draw(t, "dataDir"); v != nil {
			fields["dataDir"] = v
		}
		if rapid.Bool().Draw(t, "backed up") {
			fields["backupPaths"] = rapid.SliceOfN(path, 0, 3).Draw(t, "backupPaths")
		}
		if rapid.Bool().Draw(t, "stored") {
			fields["databases"] = []any{"x", map[string]any{"type": "redis", "name": "y"}}
		}
		exposure := map[string]any{"exposed": true, "domain": "example.org", "port": 80}
		ours, theirs := maps.Clone(fields), maps.Clone(fields)
		ours["exposure"] = exposure
		maps.Copy(theirs, exposure)
		show := func(h stateward.Host) []string {
			var out []string
			for _, l := range append(lines(h), unknowns(h)...) {
				out = append(out, strings.ReplaceAll(l, "qgroget.serviceModules", "stateward.services"))
			}
			return out
		}
		a := decodeJSON(t, dialectstateward.Dialect(), map[string]any{"stateward.services": map[string]any{"x": ours}})
		b := decodeJSON(t, qgroget.Dialect(), map[string]any{"qgroget.serviceModules": map[string]any{"x": theirs}})
		for _, h := range []*stateward.Host{&a, &b} {
			for i := range h.Services.Or(nil) {
				// How a service is reached is elsewhere in the two, by its option paths only.
				e := &h.Services.Or(nil)[i].Exposure
				require.Equal(t, "true example.org 80", fmt.Sprint(e.Exposed, " ", e.Domain, " ", e.Port))
				*e = stateward.Exposure{}
			}
		}
		if d := cmp.Diff(show(b), show(a)); d != "" {
			t.Fatalf("qgroget -, stateward +\n%s", d)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`,
		`{"stateward.services": {"x": {"enable": true, "dataDir": "/a", "backupPaths": [["b"], "/c"], "databases": ["x", {"name": "y"}], "dataset": {"name": "a/b"}, "backup": {"paths": "/a"}}}}`,
		`{"stateward.services": {"x": {"protection": {"tiers": ["reboot", null, 5], "rpo": {"site": 5}}, "?": ["y"]}}, "stateward.acknowledge": [{"code": "SW101"}, 5]}`,
		`{"stateward": {"?": ["x"]}, "stateward.services": {"x": {"__stateward": "unknown", "kind": "throw"}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sections string) {
		v, err := dialect.Parse(`{"detected": true, "sections": `+sections+`}`, 64)
		if err != nil {
			return
		}
		tree, err := dialect.NewTree(v)
		if err != nil {
			return
		}
		var h stateward.Host
		dialectstateward.Dialect().Decode(tree.Root(), &h)
		h.AddUnknown(tree.Unknowns()...)
	})
}
