package aggregate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/dataset"
)

var sw603 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW603", Title: "a value that a check needs is unknown", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"N1", "N4", "N6"},
		Doc: doc(`
An option could not be evaluated, holds a function, or holds a value of another type or form than it should, and a
check needs it. What that check did not report is then no good news: it could not look.

The finding names the option, nix's own message where there is one, and the checks that needed it; where these are many it counts them, and
` + "`-o json`" + ` lists them under ` + "`neededBy`" + `. Where one error takes many
values away it is one finding, and ` + "`-o json`" + ` lists them all under ` + "`unknown`" + `.

Mend the option so that it evaluates. ` + "`stateward eval`" + ` shows everything that could and could not be read.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		// What one error takes away is one finding, however many values that is.
		type cause struct{ what, message string }
		at := map[cause]int{}
		var groups [][]stateward.Unknown
		for _, u := range f.host.Unknown {
			if f.refused(u.Subject) || f.orderOnly(u.Subject) {
				continue
			}
			if NeededBy(u.Subject) == "" && (f.observed == nil || len(observedReaders(u.Subject)) == 0) && (f.drills == nil || !namesJobs(u.Subject)) {
				continue
			}
			c := cause{whatOf(u.Kind), u.Summary()}
			if i, ok := at[c]; ok && (u.Kind == stateward.UnknownThrow || u.Kind == stateward.UnknownAbort) && c.message != "" {
				groups[i] = append(groups[i], u)
				continue
			}
			at[c] = len(groups)
			groups = append(groups, []stateward.Unknown{u})
		}
		var out []stateward.Diagnostic
		for _, us := range groups {
			first := us[0]
			d := stateward.Diagnostic{Subject: first.Subject, File: first.File, Line: first.Line}
			var members []stateward.Covered
			for _, u := range us {
				members = append(members, stateward.Covered{Subject: u.Subject})
			}
			d.Covers = covering(members)
			d.Message = first.Subject
			if len(us) > 1 {
				d.Message += fmt.Sprintf(" and %d more", len(us)-1)
			}
			d.Message += " " + whatOf(first.Kind)
			if m := first.Summary(); m != "" {
				d.Message += ": " + m
			}
			d.NeededBy = f.readersOf(us)
			d.Message += "; needed by " + checkNames(d.NeededBy)
			d.Hint = "make it evaluate: until then these checks cannot speak of it"
			if first.Kind == stateward.UnknownType || first.Kind == stateward.UnknownForm {
				d.Hint = "write it in a form that is understood, or leave it out: until then these checks cannot speak of it"
			}
			out = append(out, d)
		}
		return append(out, f.misread()...)
	},
}

// misread are values of jobs that run which could be had, and which their engine or systemd refuses.
func (f *facts) misread() []stateward.Diagnostic {
	var out []stateward.Diagnostic
	jobs, _ := backup.Jobs(f.host)
	for _, j := range jobs {
		for _, x := range j.Faults {
			by := NeededBy(x.Origin.Option)
			if j.Asked || by == "" || slices.ContainsFunc(f.host.Unknown, func(u stateward.Unknown) bool { return u.Subject == x.Origin.Option }) {
				continue
			}
			d := finding(x.Origin)
			d.Message = fmt.Sprintf("%s is not understood: %v; needed by %s", d.Subject, x.Err, by)
			d.Hint = "write it in a form that is understood, or leave it out: until then these checks cannot speak of it"
			var h interface{ Hint() string }
			if errors.As(x.Err, &h) {
				d.Hint = h.Hint()
			}
			out = append(out, d)
		}
	}
	return out
}

// orderOnly tells whether an option only says in what order units start, and no dataset and no preseed is there for which that matters.
func (f *facts) orderOnly(subject string) bool {
	codes := readers(subject)
	if len(codes) == 0 || f.makesDatasets() || len(f.preseedUnits()) > 0 || slices.ContainsFunc(codes, func(c string) bool { return !slices.Contains(orderCodes, c) }) {
		return false
	}
	for _, ms := range f.mounts {
		if slices.ContainsFunc(ms, func(m mount) bool { return m.zfs != nil }) {
			return false
		}
	}
	return true
}

// orderCodes are the checks that read in what order units start.
var orderCodes = []string{"SW206", "SW216", "SW401", "SW402"}

// refused tells whether SW201 speaks of a value: it could be had, and cannot be.
func (f *facts) refused(subject string) bool {
	return slices.ContainsFunc(f.faults, func(x dataset.Fault) bool { return x.Kind == dataset.NotUnderstood && x.Origin.Option == subject })
}

func whatOf(kind stateward.UnknownKind) string {
	switch kind {
	case stateward.UnknownFunction:
		return "is a function"
	case stateward.UnknownType, stateward.UnknownForm:
		return "is not understood"
	case stateward.UnknownDepth:
		return "is nested too deeply to be read"
	default:
		return "could not be evaluated"
	}
}

// readersOf are the codes of the checks that need any of several values; none means that every check does.
func (f *facts) readersOf(us []stateward.Unknown) []string {
	var all []string
	for _, u := range us {
		by := NeededBy(u.Subject)
		if by == everyCheck {
			return nil
		}
		if by != "" {
			all = append(all, readers(u.Subject)...)
		}
		if f.observed != nil {
			all = append(all, observedReaders(u.Subject)...)
		}
		if f.drills != nil && namesJobs(u.Subject) {
			all = append(all, sw320Code)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// families are what the checks are of, by the first digit of their codes.
var families = map[byte]string{'1': "persistence", '2': "datasets", '3': "backups", '4': "preseed", '5': "databases", '6': "evaluation", '7': "secrets"}

// mostCodes is how many codes are read in one line; more are counted, and what they are of is named.
const mostCodes = 6

// checkNames is a list of codes for people; all of them are in the JSON.
func checkNames(codes []string) string {
	if len(codes) == 0 {
		return everyCheck
	}
	if len(codes) <= mostCodes {
		return strings.Join(codes, ", ")
	}
	var of, in []string
	for _, c := range codes {
		if family := c[:3] + "xx"; !slices.Contains(in, family) {
			of, in = append(of, families[c[2]]), append(in, family)
		}
	}
	words := of[len(of)-1]
	if n := len(of) - 1; n > 0 {
		words = strings.Join(of[:n], ", ") + " and " + words
	}
	return fmt.Sprintf("%d checks of %s (%s)", len(codes), words, strings.Join(in, ", "))
}

// needs says which checks read which options. A subject below or above a prefix
// touches it. A subject that none touches may be anything, a dialect as a whole
// ("config") or an option of a dialect that this list does not know: every check needs it.
var needs = []struct {
	prefix string
	codes  []string
}{
	{"age", []string{"SW118", "SW702"}},
	{"assertions", []string{"SW601"}},
	{"boot.enableContainers", []string{"SW101", "SW112", "SW120"}},
	{"boot.initrd", []string{"SW101", "SW110", "SW115", "SW118", "SW119"}},
	{"boot.kernelParams", []string{"SW101", "SW110", "SW115", "SW118", "SW119"}},
	{"boot.lanzaboote", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"boot.zfs", []string{"SW101", "SW110", "SW118", "SW119", "SW216"}},
	{"containers", []string{"SW101", "SW112", "SW120"}},
	{"disko", []string{"SW101", "SW106", "SW107", "SW108", "SW110", "SW115", "SW118", "SW119", "SW204", "SW208", "SW211", "SW212", "SW214", "SW216", "SW701"}},
	{"environment.etc", []string{"SW101", "SW110", "SW115", "SW118", "SW119"}},
	{"environment.persistence", []string{"SW101", "SW102", "SW103", "SW104", "SW105", "SW106", "SW108", "SW109", "SW110", "SW111", "SW112", "SW113", "SW114", "SW115", "SW118", "SW119", "SW120", "SW215", "SW701"}},
	{"fileSystems", []string{"SW101", "SW106", "SW107", "SW108", "SW109", "SW110", "SW115", "SW118", "SW119", "SW201", "SW202", "SW203", "SW204", "SW205", "SW206", "SW207", "SW208", "SW209", "SW212", "SW214", "SW216"}},
	{"hardware", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"home-manager", []string{"SW101", "SW102", "SW103", "SW104", "SW105", "SW106", "SW108", "SW109", "SW110", "SW111", "SW112", "SW113", "SW114", "SW115", "SW118", "SW119", "SW120", "SW215", "SW701"}},
	{"mailserver", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"modules", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"modules.backup.sanoid", []string{"SW301", "SW303", "SW304", "SW305", "SW308", "SW309", "SW310", "SW312", "SW313", "SW314"}},
	{"modules.services", []string{"SW101", "SW111", "SW112", "SW114", "SW120", "SW205", "SW206", "SW207", "SW216", "SW701"}},
	{"modules.services.backup", []string{"SW104", "SW112", "SW114", "SW302", "SW303", "SW304", "SW305", "SW306", "SW307", "SW315", "SW317", "SW604", "SW701", "SW702", "SW703"}},
	{"modules.services.backup._internal.allJobs.*.excludePatterns", []string{"SW304", "SW307", "SW315", "SW317", "SW702"}},
	{"modules.services.backup._internal.allJobs.*.preBackupScript", []string{"SW315"}},
	{"modules.services.backup._internal.allJobs.*.repository", []string{"SW302", "SW303", "SW304", "SW305", "SW306", "SW703"}},
	{"modules.services.backup.globalSettings", []string{"SW302"}},
	{"modules.services.backup.repositories.*.pruneSchedule", []string{"SW302"}},
	{"modules.services.backup.repositories.*.url", []string{"SW302", "SW303", "SW304", "SW305", "SW306", "SW703"}},
	{"modules.services.backup.restic.jobs.*.excludePatterns", []string{"SW304", "SW307", "SW315", "SW317", "SW702"}},
	{"modules.services.backup.restic.jobs.*.preBackupScript", []string{"SW315"}},
	{"modules.services.backup.restic.jobs.*.repository", []string{"SW302", "SW303", "SW304", "SW305", "SW306", "SW703"}},
	{"modules.storage.datasets", []string{"SW101", "SW106", "SW107", "SW108", "SW110", "SW115", "SW118", "SW119", "SW201", "SW202", "SW203", "SW204", "SW205", "SW206", "SW207", "SW208", "SW209", "SW210", "SW211", "SW212", "SW214", "SW216", "SW701"}},
	{"modules.storage.datasets.services.*.compression", []string{"SW201", "SW202", "SW210"}},
	{"modules.storage.datasets.services.*.group", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"modules.storage.datasets.services.*.mode", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"modules.storage.datasets.services.*.owner", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"modules.storage.datasets.services.*.protection", []string{"SW303", "SW304"}},
	{"modules.storage.datasets.services.*.recordsize", []string{"SW201", "SW202", "SW210", "SW211"}},
	{"modules.storage.datasets.utility.*.compression", []string{"SW201", "SW202", "SW210"}},
	{"modules.storage.datasets.utility.*.group", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"modules.storage.datasets.utility.*.mode", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"modules.storage.datasets.utility.*.owner", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"modules.storage.datasets.utility.*.protection", []string{"SW303", "SW304"}},
	{"modules.storage.datasets.utility.*.recordsize", []string{"SW201", "SW202", "SW210", "SW211"}},
	{"modules.storage.protection", []string{"SW303", "SW304"}},
	{"networking", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"preservation", []string{"SW101", "SW102", "SW103", "SW104", "SW105", "SW106", "SW108", "SW109", "SW110", "SW111", "SW112", "SW113", "SW114", "SW115", "SW118", "SW119", "SW120", "SW215", "SW701"}},
	{"programs", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"qgroget.backups", []string{"SW104", "SW112", "SW114", "SW307", "SW701"}},
	{"qgroget.serviceModules", []string{"SW101", "SW111", "SW112", "SW114", "SW120", "SW701"}},
	{"qgroget.services", []string{"SW101", "SW111", "SW112", "SW114", "SW120", "SW701"}},
	{"security", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"services", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"services.borgbackup", []string{"SW104", "SW112", "SW114", "SW303", "SW304", "SW305", "SW307", "SW315", "SW701"}},
	{"services.borgbackup.jobs.*.dumpCommand", []string{"SW304"}},
	{"services.borgbackup.jobs.*.encryption", []string{"SW703"}},
	{"services.borgbackup.jobs.*.exclude", []string{"SW304", "SW307", "SW315"}},
	{"services.borgbackup.jobs.*.extraCreateArgs", []string{"SW304", "SW307", "SW315"}},
	{"services.borgbackup.jobs.*.patterns", []string{"SW304", "SW307", "SW315"}},
	{"services.borgbackup.jobs.*.persistentTimer", []string{"SW303", "SW304"}},
	{"services.borgbackup.jobs.*.preHook", []string{"SW315"}},
	{"services.borgbackup.jobs.*.repo", []string{"SW303", "SW304", "SW305", "SW703"}},
	{"services.borgbackup.jobs.*.startAt", []string{"SW303", "SW304", "SW307"}},
	{"services.openssh", []string{"SW118"}},
	{"services.pgbackrest", []string{"SW501", "SW505", "SW506", "SW509", "SW703"}},
	{"services.postgresql.pgbackrestConf", []string{"SW501", "SW505", "SW506", "SW703"}},
	{"services.postgresql.settings", []string{"SW501", "SW502", "SW503", "SW504", "SW505", "SW506", "SW507", "SW508", "SW509", "SW315"}},
	{"services.restic", []string{"SW104", "SW112", "SW114", "SW302", "SW303", "SW304", "SW305", "SW306", "SW307", "SW315", "SW317", "SW604", "SW701", "SW702", "SW703"}},
	{"services.restic.backups.*.backupPrepareCommand", []string{"SW315"}},
	{"services.restic.backups.*.dynamicFilesFrom", []string{"SW304", "SW317"}},
	{"services.restic.backups.*.environmentFile", []string{"SW306", "SW604"}},
	{"services.restic.backups.*.exclude", []string{"SW304", "SW307", "SW315", "SW317", "SW702"}},
	{"services.restic.backups.*.extraBackupArgs", []string{"SW304", "SW307", "SW315", "SW702"}},
	{"services.restic.backups.*.pruneOpts", []string{"SW302"}},
	{"services.restic.backups.*.repository", []string{"SW302", "SW303", "SW304", "SW305", "SW306", "SW703"}},
	{"services.restic.backups.*.timerConfig", []string{"SW303", "SW304", "SW307"}},
	{"services.sanoid", []string{"SW301", "SW303", "SW304", "SW308", "SW310", "SW312"}},
	{"services.syncoid", []string{"SW303", "SW304", "SW305", "SW308", "SW309", "SW313", "SW314"}},
	{"sops", []string{"SW118", "SW702"}},
	{"stateward", []string{"SW101", "SW112", "SW114", "SW120"}},
	{"stateward.acknowledge", []string{"SW606", "SW607"}},
	{"stateward.backup", []string{"SW604"}},
	{"stateward.plan", []string{"SW608"}},
	{"stateward.pitr", []string{"SW122", "SW303", "SW304", "SW507", "SW509", "SW510", "SW604"}},
	{"stateward.services", []string{"SW101", "SW104", "SW106", "SW107", "SW108", "SW110", "SW111", "SW112", "SW114", "SW115", "SW118", "SW119", "SW120", "SW201", "SW202", "SW203", "SW204", "SW205", "SW207", "SW208", "SW209", "SW211", "SW305", "SW306", "SW307", "SW604", "SW701", "SW702", "SW703"}},
	{"stateward.services.*.backup.repository", []string{"SW305", "SW306", "SW703"}},
	{"stateward.services.*.dataset.group", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"stateward.services.*.dataset.mode", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"stateward.services.*.dataset.owner", []string{"SW201", "SW202", "SW205", "SW209"}},
	{"stateward.services.*.dataset.profile", []string{"SW211"}},
	{"stateward.services.*.dataset.properties", []string{"SW201", "SW202", "SW211", "SW405"}},
	{"stateward.services.*.preseed", []string{"SW403", "SW404", "SW406", "SW407", "SW408", "SW409", "SW410", "SW411", "SW508"}},
	{"stateward.services.*.protection", []string{"SW303", "SW304"}},
	{"system.activationScripts", []string{"SW118", "SW217"}},
	{"system.stateVersion", []string{"SW101", "SW120"}},
	{"systemd.mounts", []string{"SW101", "SW106", "SW107", "SW110", "SW118", "SW119", "SW208", "SW212", "SW214", "SW216"}},
	{"systemd.services", []string{"SW101", "SW104", "SW105", "SW111", "SW112", "SW114", "SW120", "SW205", "SW206", "SW207", "SW208", "SW209", "SW213", "SW215", "SW216", "SW217", "SW310", "SW315", "SW318", "SW401", "SW402", "SW506", "SW509"}},
	{"systemd.services.*.after", []string{"SW206", "SW216", "SW401", "SW402"}},
	{"systemd.services.*.baseBackup", []string{"SW303", "SW304", "SW506", "SW509"}},
	{"systemd.services.*.before", []string{"SW206", "SW216", "SW401"}},
	{"systemd.services.*.bindsTo", []string{"SW216", "SW318", "SW401", "SW402"}},
	{"systemd.services.*.executes", []string{"SW402"}},
	{"systemd.services.*.requiredBy", []string{"SW401"}},
	{"systemd.services.*.requires", []string{"SW216", "SW318", "SW401", "SW402"}},
	{"systemd.services.*.script", []string{"SW217"}},
	{"systemd.services.*.unitConfig", []string{"SW216"}},
	{"systemd.services.*.wantedBy", []string{"SW206", "SW307", "SW318"}},
	{"systemd.services.*.wants", []string{"SW318", "SW401", "SW402"}},
	{"systemd.timers", []string{"SW118", "SW307", "SW318"}},
	{"systemd.tmpfiles", []string{"SW101", "SW110", "SW112", "SW114", "SW115", "SW118", "SW119", "SW120", "SW205", "SW209", "SW213", "SW214", "SW215"}},
	{"users.groups", []string{"SW110", "SW205", "SW213", "SW215"}},
	{"users.users", []string{"SW101", "SW103", "SW106", "SW110", "SW111", "SW112", "SW119", "SW205", "SW213", "SW215"}},
	{"virtualisation", []string{"SW101", "SW112", "SW120"}},
	{"warnings", []string{"SW602"}},
}

// unread are options that are projected for later checks and that none reads yet;
// "*" is any one name. What lies above them is needed for other reasons.
var unread = [][]string{
	{"systemd", "services", "*", "serviceConfig", "CacheDirectory"}, {"systemd", "services", "*", "serviceConfig", "LogsDirectory"},
	{"systemd", "services", "*", "serviceConfig", "Type"},

	{"services", "restic", "backups", "*", "user"}, {"services", "restic", "backups", "*", "initialize"},
	{"services", "restic", "backups", "*", "backupCleanupCommand"},
	{"services", "borgbackup", "jobs", "*", "user"}, {"services", "borgbackup", "jobs", "*", "doInit"},
	{"services", "borgbackup", "jobs", "*", "prune"},
	{"services", "borgbackup", "jobs", "*", "postHook"},

	{"qgroget", "serviceModules", "*", "databases"}, {"qgroget", "serviceModules", "*", "domain"},
	{"qgroget", "serviceModules", "*", "subdomain"}, {"qgroget", "serviceModules", "*", "exposed"},
	{"qgroget", "serviceModules", "*", "type"}, {"qgroget", "serviceModules", "*", "port"},
	{"qgroget", "serviceModules", "*", "middlewares"},
	{"qgroget", "backups", "*", "exclude"}, {"qgroget", "backups", "*", "preBackup"}, {"qgroget", "backups", "*", "postBackup"},
	{"qgroget", "backups", "*", "systemdUnits"}, {"qgroget", "backups", "*", "priority"}, {"qgroget", "backups", "*", "requireNetwork"},

	// Not the parts as a whole: a field that the contract does not have is said.
	{"stateward", "services", "*", "databases", "*", "type"}, {"stateward", "services", "*", "databases", "*", "name"},
	{"stateward", "services", "*", "databases", "*", "user"}, {"stateward", "services", "*", "exposure", "exposed"},
	{"stateward", "services", "*", "exposure", "domain"}, {"stateward", "services", "*", "exposure", "subdomain"},
	{"stateward", "services", "*", "exposure", "type"}, {"stateward", "services", "*", "exposure", "port"},
	{"stateward", "services", "*", "exposure", "middlewares"},
	{"stateward", "services", "*", "healthCheck", "enable"}, {"stateward", "services", "*", "healthCheck", "command"},
	{"stateward", "services", "*", "healthCheck", "interval"}, {"stateward", "services", "*", "healthCheck", "timeout"},
	{"stateward", "services", "*", "healthCheck", "retries"}, {"stateward", "services", "*", "notifications", "enable"},
	{"stateward", "services", "*", "notifications", "channels"}, {"stateward", "services", "*", "backup", "engine"},
	{"stateward", "services", "*", "healthCheck", "startPeriod"}, {"stateward", "services", "*", "notifications", "priority"},
	{"stateward", "services", "*", "resources", "memory"}, {"stateward", "services", "*", "resources", "cpus"},
	{"stateward", "services", "*", "backup", "tags"},
	{"stateward", "services", "*", "backup", "exclude"},
	{"stateward", "services", "*", "backup", "user"}, {"stateward", "services", "*", "backup", "initialize"},
	{"stateward", "services", "*", "backup", "schedule"}, {"stateward", "services", "*", "backup", "randomizedDelay"},
	{"stateward", "services", "*", "backup", "persistent"}, {"stateward", "services", "*", "backup", "prune"},
	{"stateward", "services", "*", "backup", "stopUnits"}, {"stateward", "services", "*", "backup", "priority"},
	{"stateward", "services", "*", "backup", "requireNetwork"}, {"stateward", "services", "*", "backup", "preHook"},
	{"stateward", "services", "*", "backup", "postHook"}, {"stateward", "services", "*", "backup", "repositories"},
	{"stateward", "services", "*", "backup", "dump", "command"}, {"stateward", "services", "*", "backup", "dump", "directory"},
	{"stateward", "services", "*", "backup", "consistency"}, {"stateward", "services", "*", "backup", "allowEmpty"},
	{"stateward", "services", "*", "backup", "checkSubset"}, {"stateward", "services", "*", "backup", "lockWait"},
	{"stateward", "services", "*", "backup", "floorPercent"}, {"stateward", "services", "*", "backup", "oneFileSystem"},
	{"stateward", "services", "*", "backup", "drill", "command"}, {"stateward", "services", "*", "backup", "drill", "paths"},
	{"stateward", "services", "*", "backup", "drill", "sqlite"}, {"stateward", "services", "*", "backup", "drill", "maxBytes"},
	{"stateward", "services", "*", "backup", "drill", "every"}, // but see namesJobs
	{"stateward", "services", "*", "backup", "notify", "onStart"}, {"stateward", "services", "*", "backup", "notify", "onSuccess"},
	{"stateward", "services", "*", "backup", "notify", "onFailure"},
	{"stateward", "services", "*", "backup", "skipIfUnchanged"}, {"stateward", "services", "*", "backup", "metricsDir"},

	// `stateward pitr plan` says of these what it needs.
	{"services", "postgresql", "package"}, {"services", "postgresql", "settings", "port"}, {"services", "postgresql", "settings", "unix_socket_directories"},

	// Only a diff speaks of it.
	{"stateward", "guard"},

	{"modules", "filesystems", "zfs"},
	{"modules", "services", "*", "preseed"},
	{"modules", "services", "backup", "_internal", "allJobs", "*", "postBackupScript"}, {"modules", "services", "backup", "restic", "jobs", "*", "postBackupScript"},

	// A host's name tells which capture is its own; the others say what is in use in a persistence root, see observedNeeds.
	{"networking", "hostName"},
	{"swapDevices"}, {"boot", "initrd", "network", "ssh"}, {"users", "users", "*", "hashedPasswordFile"},
}

const everyCheck = "every check"

// NeededBy names the checks that read an option, as SW603 does; it is empty where none does.
func NeededBy(subject string) string {
	path := components(subject)
	if slices.ContainsFunc(unread, func(u []string) bool { return startsWith(path, u) }) {
		return ""
	}
	if codes := readers(subject); len(codes) > 0 {
		return strings.Join(codes, ", ")
	}
	return everyCheck
}

// readers are the codes of the checks that read an option that some check reads; none means that every check does.
func readers(subject string) []string {
	path := components(subject)
	var codes, own []string
	// Of an option that has a row of its own, only that row speaks.
	longest := 0
	for _, n := range needs {
		prefix := strings.Split(n.prefix, ".")
		switch {
		case len(prefix) > len(path) && startsWith(prefix, path):
			codes = append(codes, n.codes...)
		case startsWith(path, prefix) && len(prefix) > longest:
			longest, own = len(prefix), n.codes
		}
	}
	codes = append(codes, own...)
	slices.Sort(codes)
	return slices.Compact(codes)
}

// startsWith tells whether an option path is a prefix, or lies below it. "*" in the prefix is any name.
func startsWith(path, prefix []string) bool {
	if len(path) < len(prefix) {
		return false
	}
	for i, p := range prefix {
		if p != "*" && p != path[i] {
			return false
		}
	}
	return true
}

// components splits an option path as [stateward.OptionPath] prints it; an index such
// as "[3]" is a component of its own.
func components(path string) []string {
	var out []string
	for path != "" {
		end := 0
		switch path[0] {
		case '.':
			path = path[1:]
			continue
		case '"':
			for end = 1; end < len(path) && path[end] != '"'; end++ {
				if path[end] == '\\' {
					end++
				}
			}
			end = min(end+1, len(path))
		case '[':
			end = strings.IndexByte(path, ']') + 1
		default:
			end = strings.IndexAny(path, ".[")
		}
		if end <= 0 {
			end = len(path)
		}
		out = append(out, path[:end])
		path = path[end:]
	}
	return out
}
