package pitr

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/dataset"
)

// Stock is the name of the cluster of `services.postgresql`.
const Stock = "postgresql"

// PlanFault is why a cluster cannot be archived as it is asked for, or, as a note, what of that a person should know.
type PlanFault struct {
	Name    string           `json:"name,omitempty"`
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

func (f *PlanFault) Error() string {
	if f.Name == "" {
		return f.Message
	}
	return "point-in-time recovery of " + f.Name + ": " + f.Message
}

// Place is where a part of a cluster lies.
type Place struct {
	// Part is "data" or "log".
	Part string `json:"part"`
	Path string `json:"path"`
	// Dataset is that of ZFS; empty where it is none, or not known. Recordsize is what is set on it, Suits what suits what lies there.
	Dataset    string `json:"dataset,omitempty"`
	Recordsize string `json:"recordsize,omitempty"`
	Suits      string `json:"suits,omitempty"`
}

// Planned is how a host wants one cluster archived.
type Planned struct {
	Name   string
	Origin stateward.Origin
	// Policy is what the commands read; nil where Faults say why there is none.
	Policy *Policy
	// Stock tells that the server is that of `services.postgresql`, and its settings are said there.
	Stock  bool
	Places []Place
	// Faults keep it from being planned. Notes do not.
	Faults, Notes []PlanFault

	// said are the settings of the log that the host has itself, in words of its own that mean what is planned.
	said map[string]bool
	// command is the archive_command of the host, and lacks are settings that its server has to have, and has not, or in other words.
	command string
	lacks   []string
}

func (o *Planned) fault(origin stateward.Origin, hint, format string, args ...any) {
	f := PlanFault{o.Name, fmt.Sprintf(format, args...), hint, origin}
	if !slices.ContainsFunc(o.Faults, func(g PlanFault) bool { return g.Message == f.Message }) {
		o.Faults = append(o.Faults, f)
	}
}

func (o *Planned) note(origin stateward.Origin, hint, format string, args ...any) {
	o.Notes = append(o.Notes, PlanFault{o.Name, fmt.Sprintf(format, args...), hint, origin})
}

func originOf(why stateward.Unknown) stateward.Origin {
	return stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}
}

func known[T any](o *Planned, v stateward.Value[T]) (value T, there bool) {
	if why, unknown := v.Why(); unknown {
		o.fault(originOf(why), "stateward check says more of it", "%s is unknown: %s", why.Subject, cmp.Or(why.Summary(), string(why.Kind)))
	}
	return v.Get()
}

// FromHost makes the policy of every cluster that a host asks to have archived, sorted by name, or says why it cannot. What could not be had of all of them
// is in the faults beside. What is off asks for nothing. Flags are what the installed tools name themselves, see [NewProvider].
func FromHost(h *stateward.Host, flags map[string]Flags) ([]Planned, []PlanFault) {
	var faults []PlanFault
	if why, unknown := h.PITRPolicies.Why(); unknown {
		faults = append(faults, PlanFault{Message: "which clusters are to be archived is unknown: " + why.String(), Origin: originOf(why)})
	}
	out := []Planned{}
	at := map[ArchivePlace]string{}
	for _, d := range h.PITRPolicies.Or(nil) {
		if on, is := d.Enable.Get(); is && !on {
			continue
		}
		p := hostPlanner{host: h, asked: d, out: Planned{Name: d.Name, Origin: d.Origin, said: map[string]bool{}}}
		p.plan(flags)
		o := p.out
		if o.Policy != nil {
			place := NewArchivePlace(o.Policy.Endpoint, o.Policy.Destination, o.Policy.Server)
			if other, there := at[place]; there {
				o.fault(d.Server.Origin(), "give each cluster a server name of its own", "%s is where %s is archived too: their logs cannot be told apart (G4)", place, other)
				o.Policy = nil
			}
			at[place] = o.Name
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b Planned) int { return cmp.Compare(a.Name, b.Name) })
	return out, faults
}

type hostPlanner struct {
	host   *stateward.Host
	asked  stateward.PITRPolicy
	server *stateward.PITR
	out    Planned
	policy Policy
}

func (p *hostPlanner) plan(flags map[string]Flags) {
	o, d := &p.out, &p.asked
	if _, is := known(o, d.Enable); !is {
		return
	}
	// A field that is misspelt is a place that nobody writes to, or a window that nobody keeps. Files and units have the name.
	for _, why := range p.host.Unknown {
		if d.Origin.Option != "" && (why.Subject == d.Origin.Option || strings.HasPrefix(why.Subject, d.Origin.Option+".")) {
			known(o, stateward.NotKnown[bool](why))
		}
	}
	text := func(v stateward.Value[string]) string { s, _ := known(o, v); return s }
	span := func(v stateward.Value[stateward.Duration]) Span { s, _ := known(o, v); return Span(s.Std()) }
	p.policy = Policy{
		Provider: text(d.Provider), Destination: text(d.Destination), Server: text(d.Server), Cloud: text(d.Cloud), Endpoint: text(d.Endpoint), Profile: text(d.Profile),
		Compression: text(d.Compression), Encryption: text(d.Encryption), EnvironmentFile: p.file(d.EnvironmentFile, "the environment file"),
		CredentialsFile: p.file(d.CredentialsFile, "the credentials file"), Window: span(d.Window), ArchiveTimeout: span(d.ArchiveTimeout),
		Notify:     backup.Notify{OnStart: text(d.OnStart), OnSuccess: text(d.OnSuccess), OnFailure: text(d.OnFailure)},
		MetricsDir: text(d.MetricsDir),
	}
	if b := p.host.BackupDefaults; b != nil {
		for _, f := range []struct {
			name  string
			value *string
		}{{"metricsDir", &p.policy.MetricsDir}, {"notify.onStart", &p.policy.Notify.OnStart}, {"notify.onSuccess", &p.policy.Notify.OnSuccess}, {"notify.onFailure", &p.policy.Notify.OnFailure}} {
			if *f.value == "" {
				*f.value = text(b.Settings[f.name])
			}
		}
	}
	p.policy.Redundancy, _ = known(o, d.Redundancy)
	if every := span(d.DrillEvery); every != 0 {
		p.policy.Drill = &DrillPolicy{Every: every}
	}
	p.schedule()
	p.cluster()
	p.storage()
	p.settings()
	for _, field := range []struct {
		name string
		v    stateward.Value[string]
		hint string
	}{{"destination", d.Destination, `destination = "s3://bucket/postgresql";`}, {"server", d.Server, `server = "forge";, the name below which this cluster is stored, and no other`}} {
		if field.v.IsAbsent() {
			o.fault(d.Origin, field.hint, "%s is missing", field.name)
		}
	}
	if len(o.Faults) > 0 {
		return
	}
	var e *PolicyError
	if err := p.policy.Validate(); errors.As(err, &e) {
		o.fault(d.Origin, e.Hint(), "%s", e.Error())
		return
	}
	provider, err := NewProvider(p.policy, flags)
	if err == nil {
		_, err = provider.WALArchive(p.policy, "%p")
	}
	if err == nil {
		_, err = provider.Backup(p.policy)
	}
	if err != nil {
		hint := ""
		if h, ok := err.(interface{ Hint() string }); ok {
			hint = h.Hint()
		}
		o.fault(d.Origin, hint, "%s", err)
		return
	}
	p.compare()
	p.advise(flags)
	if len(o.Faults) == 0 {
		o.Policy = &p.policy
	}
}

// file is that of a secret, by its path only.
func (p *hostPlanner) file(v stateward.Value[stateward.FileRef], what string) string {
	ref, is := known(&p.out, v)
	if is && (ref.NixPath || strings.HasPrefix(ref.Text, "/nix/store/")) {
		p.out.fault(v.Origin(), "write a text with the path that the file has at run time", "%s lies in the store, which everybody can read (R11)", what)
	}
	return ref.Text
}

func (p *hostPlanner) schedule() {
	o := &p.out
	if w, is := p.asked.Window.Get(); is && w.Std() == 0 {
		o.fault(p.asked.Window.Origin(), noWindow, "window of 0 is none")
	}
	list, is := known(o, p.asked.Schedule)
	if is || !p.asked.Schedule.IsUnknown() {
		p.policy.Schedule = list
		if len(list) == 0 {
			o.fault(p.asked.Origin, `schedule = "daily";`, "has no schedule: without base backups nothing is recovered")
		}
	}
	for _, text := range list {
		if _, err := backup.ParseCalendar(text, p.host.Zones); err != nil {
			hint := ""
			if h := interface{ Hint() string }(nil); errors.As(err, &h) {
				hint = h.Hint()
			}
			o.fault(p.asked.Schedule.Origin(), hint, "%s", err)
		}
	}
}

// cluster finds the server; that of services.postgresql says itself what is not written.
func (p *hostPlanner) cluster() {
	o, d, c := &p.out, &p.asked.Cluster, &p.policy.Cluster
	c.Name = p.asked.Name
	if c.Name == Stock {
		if why, unknown := p.host.PITR.Why(); unknown {
			known(o, stateward.NotKnown[bool](why))
			return
		}
		for i, s := range p.host.PITR.Or(nil) {
			if on, is := known(o, s.Enable); s.Service == Stock && (on || !is) {
				p.server, o.Stock = &p.host.PITR.Or(nil)[i], true
			}
		}
	}
	text := func(v stateward.Value[string]) string { s, _ := known(o, v); return s }
	number := func(v stateward.Value[int]) int { n, _ := known(o, v); return n }
	c.DataDir, c.WALDir, c.User, c.Socket, c.Unit, c.BinDir = text(d.DataDir), text(d.WALDir), text(d.User), text(d.Socket), text(d.Unit), text(d.BinDir)
	c.Version, c.Port = number(d.Version), number(d.Port)
	if s := p.server; s != nil {
		if c.DataDir == "" {
			c.DataDir = text(s.DataDir)
		}
		if c.Version == 0 {
			major, _, _ := strings.Cut(text(s.Version), ".")
			c.Version, _ = strconv.Atoi(major)
		}
		if port := text(s.Port); c.Port == 0 && port != "" {
			var err error
			if c.Port, err = strconv.Atoi(port); err != nil {
				o.fault(s.Port.Origin(), "write a number", "port %q is no number", port)
			}
		}
		if c.Socket == "" {
			first, _, _ := strings.Cut(text(s.Sockets), ",")
			// Where nothing is set, it is where the package of NixOS has it, and its unit makes the folder.
			if c.Socket = strings.TrimSpace(first); c.Socket == "" {
				c.Socket = "/run/postgresql"
			}
		}
		c.Unit = cmp.Or(c.Unit, "postgresql.service")
	}
	switch {
	case p.server == nil && c.Name == Stock && c.DataDir == "":
		o.fault(p.asked.Origin, "switch it on, or say of which server this is: cluster.dataDir, user, unit", "services.postgresql is not on")
		return
	case c.DataDir == "" && !d.DataDir.IsUnknown() && (p.server == nil || !p.server.DataDir.IsUnknown()):
		o.fault(p.asked.Origin, `cluster.dataDir = "/var/lib/postgresql/17";`, "the data directory is not known")
	case c.Unit == "" && !d.Unit.IsUnknown():
		o.fault(p.asked.Origin, `cluster.unit = "postgresql.service";`, "the unit of the server is not known")
	}
	units := p.host.Units
	i := slices.IndexFunc(units.Or(nil), func(u stateward.Unit) bool { return u.Name == c.Unit && u.Enable.Or(true) })
	if units.IsKnown() && c.Unit != "" && i < 0 {
		o.fault(cmp.Or(d.Unit.Origin(), p.asked.Origin), "name the unit of the server, in cluster.unit", "the host has no unit %s", c.Unit)
		return
	}
	if c.User == "" && i >= 0 {
		if user, is := known(o, units.Or(nil)[i].User); is {
			c.User = user.String()
		}
	}
	if c.User == "" && len(o.Faults) == 0 {
		o.fault(p.asked.Origin, `cluster.user = "postgres";`, "as whom the server runs is not known")
	}
}

// storage says where data and log lie, and what suits them.
func (p *hostPlanner) storage() {
	c, o := &p.policy.Cluster, &p.out
	if c.DataDir == "" {
		return
	}
	layout := backup.NewLayout(p.host)
	desired, _ := dataset.NewDesired(p.host)
	policies, _ := backup.SnapshotPolicies(p.host)
	for _, part := range []struct{ part, at, profile string }{{"data", c.DataDir, "postgresql-data"}, {"log", cmp.Or(c.WALDir, path.Join(c.DataDir, "pg_wal")), "postgresql-wal"}} {
		at, err := stateward.ParsePath(part.at)
		if err != nil {
			o.fault(p.asked.Origin, "", "%s", err)
			return
		}
		lies := layout.Of(at)
		place := Place{Part: part.part, Path: part.at, Dataset: lies.Dataset}
		profile, _ := dataset.LookupProfile(part.profile)
		for _, s := range profile.Settings() {
			if s.Name() == "recordsize" {
				place.Suits = s.Text()
			}
		}
		if i := slices.IndexFunc(desired.Datasets, func(w dataset.Wanted) bool { return w.Name.String() == lies.Dataset }); i >= 0 {
			if size, set := desired.Datasets[i].Setting("recordsize"); set {
				place.Recordsize = size.Text()
			}
		}
		if place.Dataset == "" {
			place.Suits = ""
		}
		o.Places = append(o.Places, place)
	}
	data, log := o.Places[0].Dataset, o.Places[1].Dataset
	switch {
	case data == "":
	case data == log:
		// One dataset is one moment; what suits the data counts there.
		o.Places = o.Places[:1]
	case log != "":
		takes := func(name string) *backup.SnapshotPolicy {
			s, doubt := backup.Governing(policies, name)
			if s == nil || doubt != "" {
				return nil
			}
			if s.By != nil {
				return s.By
			}
			return s
		}
		a, b := takes(data), takes(log)
		if a != nil && b != nil && a.AutoSnap.Or(true) && b.AutoSnap.Or(true) && !(a.Dataset == b.Dataset && a.Atomic) {
			o.note(a.Origin, `recursive = "zfs" on a dataset above both takes them at one moment`,
				"data (%s) and log (%s) are snapshotted at different moments: no pair of these snapshots is a cluster (S2)", data, log)
		}
	}
}

// settings takes over what the host says of the log already.
func (p *hostPlanner) settings() {
	if p.server == nil {
		return
	}
	value := p.server.Settings["archive_timeout"]
	if text, is := known(&p.out, value); is && p.policy.ArchiveTimeout == 0 {
		d, ok := ParseTimeout(text)
		if !ok {
			p.out.fault(value.Origin(), `write a number of seconds, or "5min"`, "archive_timeout is %q, which PostgreSQL does not know", text)
		}
		p.policy.ArchiveTimeout = Span(d)
	}
	for _, name := range []string{"archive_mode", "archive_command", "archive_library", "wal_level"} {
		known(&p.out, p.server.Settings[name])
	}
	p.out.command = p.server.Settings["archive_command"].Or("")
}

// compare refuses what would be said twice, in two ways.
func (p *hostPlanner) compare() {
	o := &p.out
	if p.server == nil {
		return
	}
	// What was planned before sets the settings of then, and nobody can tell its lines from those of a person.
	mend := func(hint string) string {
		if slices.ContainsFunc(p.host.Units.Or(nil), func(u stateward.Unit) bool {
			return u.Name == "stateward-pitr-backup-"+o.Name+".service" && u.Job.Or("") != ""
		}) {
			return "where the module that was written before sets it, leave that out of imports while you plan; else " + hint
		}
		return hint
	}
	contradicts := func(name, text, hint string) {
		hint = mend(hint)
		o.fault(p.server.Settings[name].Origin(), hint, "services.postgresql.settings.%s is %q already", name, text)
	}
	for _, set := range p.policy.settings() {
		name, want := set.Name, set.Value
		v := p.server.Settings[name]
		text, is := v.Get()
		if !is && name != "wal_level" { // which is "replica" where nothing is said
			o.lacks = append(o.lacks, name)
		}
		if !is || text == want {
			continue
		}
		same := false
		switch name {
		case "archive_mode":
			same, _ = archiveMode(text)
		case "wal_level":
			same = strings.EqualFold(text, "logical") || strings.EqualFold(text, "replica")
		case "archive_timeout":
			d, ok := ParseTimeout(text)
			same = ok && d == p.policy.ArchiveTimeout.Std()
		}
		if same {
			o.said[name] = true
			continue
		}
		contradicts(name, text, "leave it out there, or say the same here")
	}
	if text := p.server.Settings["archive_library"].Or(""); text != "" {
		contradicts("archive_library", text, "leave it out: beside it archive_command is not used")
	}
	if o.command != "" && !p.policy.ArchivesBy(o.command) {
		// A command may have a key in it, and is not told.
		o.fault(p.server.Settings["archive_command"].Origin(), mend("leave it out there: what is planned sets it"), "services.postgresql.settings.archive_command is another already")
	}
}

// advise says what is allowed, and seldom meant.
func (p *hostPlanner) advise(flags map[string]Flags) {
	o, d := &p.out, &p.asked
	if p.policy.ArchiveTimeout == 0 {
		o.note(d.Origin, `archiveTimeout = "5min";`, "has no archiveTimeout: what an idle cluster committed stays on its own disks (G3)")
	}
	if p.policy.Window == 0 {
		o.note(d.Origin, `window = "14d";`, "has no window: nothing is ever removed from the archive")
	}
	if p.policy.EnvironmentFile == "" && p.policy.CredentialsFile == "" {
		o.note(d.Origin, `environmentFile = "/run/secrets/pitr.env";`, "names no file with a key: the tool looks for one where its cloud has it")
	}
	if c := p.policy.Compression; slices.Contains([]string{"xz", "zstd", "lz4"}, c) && flags[ToolWALArchive].Tool == "" {
		o.note(d.Compression.Origin(), "--tools DIR asks the installed one", "barman-cloud-wal-archive before 3.13 may have no %s (G7)", compressionFlags[c])
	}
	if !o.Stock {
		o.note(d.Origin, "set them there", "the settings of the server are not those of services.postgresql, and nothing writes them into its configuration")
	}
}

// settings are those of the server beside archive_command.
func (p Policy) settings() []Setting {
	out := []Setting{{"archive_mode", "on"}, {"wal_level", "replica"}}
	if s := int(p.ArchiveTimeout.Std() / time.Second); s > 0 {
		out = append(out, Setting{"archive_timeout", strconv.Itoa(s) + "s"})
	}
	return out
}
