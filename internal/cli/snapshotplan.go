package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/sanoid"
	"github.com/stateward/stateward/internal/capture"
	"github.com/stateward/stateward/internal/syntax/shell"
)

// SnapshotPlan is what `stateward snapshot plan -o json` prints.
type SnapshotPlan struct {
	ProtocolVersion string          `json:"protocolVersion"`
	Hosts           []HostSnapshots `json:"hosts"`
}

// HostSnapshots are the policies and replications of one host.
type HostSnapshots struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Status stateward.Status `json:"status"`
	// Policies are those of sanoid, sorted by dataset.
	Policies []PolicyOutput `json:"policies"`
	// Replications are those of syncoid, sorted by name.
	Replications []ReplicationOutput `json:"replications"`
	// Notes are what is wrong with them, or not known.
	Notes []SnapshotNote `json:"notes"`
	// Captured is the file that says which snapshots there are.
	Captured *PoolCapture `json:"captured,omitempty"`
	Error    *ErrorOutput `json:"error,omitempty"`

	host *stateward.Host
}

// PolicyOutput is what holds for one dataset.
type PolicyOutput struct {
	Dataset string `json:"dataset"`
	// Option says what it is for, and Templates what it takes settings from.
	Option    string   `json:"option"`
	Templates []string `json:"templates"`
	// Recursive is "yes", "no", "zfs" or "unknown": whether datasets below are covered too.
	Recursive string `json:"recursive"`
	// Settings are the keys that say what is taken, kept and pruned.
	Settings []SettingOutput `json:"settings"`
	// Keeps says how many of which type are kept: "24 hourly, 7 daily"; empty where that is not known.
	Keeps string `json:"keeps"`
	// TakenBy is the dataset above whose policy takes the snapshots (recursive = zfs), in place of this one, which only prunes then.
	TakenBy string `json:"takenBy,omitempty"`
	// Newest is how old the newest snapshot can get, and Oldest how old one gets at least before it is pruned; empty where that is
	// not known.
	Newest string `json:"newest"`
	Oldest string `json:"oldest"`
	// Unknown says why the policy is not known.
	Unknown string `json:"unknown,omitempty"`
	// Prunes is what sanoid would remove by it of the snapshots that were captured.
	Prunes *PruneOutput `json:"prunes,omitempty"`
}

// SettingOutput is a setting with the option that says so.
type SettingOutput struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Option is empty where it is a default of sanoid.
	Option string `json:"option"`
}

// PruneOutput is what a policy does to the snapshots that there are.
type PruneOutput struct {
	// Snapshots is how many there are in all, with those of others.
	Snapshots int `json:"snapshots"`
	// Removed are the full names of those that sanoid would remove, the oldest first.
	Removed []string `json:"removed"`
	// Stay are those among them that zfs does not let go, as something holds them or hangs on them.
	Stay []string `json:"stay"`
}

// ReplicationOutput is a replication.
type ReplicationOutput struct {
	Name       string                 `json:"name"`
	Option     string                 `json:"option"`
	Source     string                 `json:"source"`
	Target     string                 `json:"target"`
	Continuity backup.ContinuityState `json:"continuity"`
	Why        string                 `json:"why"`
}

// SnapshotNote is something that is wrong, or not known.
type SnapshotNote struct {
	// Trap is the number in docs/traps.md.
	Trap    string `json:"trap,omitempty"`
	Subject string `json:"subject"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Option  string `json:"option,omitempty"`
}

type snapshotPlanFlags struct {
	sourceFlags
	hostFlags
	output, observed, write  string
	user, sshKey, knownHosts string
}

func newSnapshotPlan(env Env) *cobra.Command {
	var f snapshotPlanFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "Show what holds for the snapshots of each dataset",
		Long: `Plan shows the policy of each dataset with every setting and where it is from, what is kept by it, whether
replication finds its base again, and who else takes snapshots.

With a file that "stateward capture zfs" wrote on the host it names the
snapshots that sanoid would remove by these policies: look at it before you change one. The file
has to be of the host, unless --other-host is given.

For one host these are written:
  sanoid.conf  what sanoid reads, with nothing left to its defaults
  nix          a NixOS module with services.sanoid and services.syncoid, likewise
  syncoid      the commands of the replications that are declared, as they are safe: without a
               rollback, a forced delete or a mount, and with a bookmark of what was sent
  units        a service and a timer for each of them
  zfs-allow    what an unprivileged user must be allowed on both ends, and why
They are not written where something of it is not known, or would be read as something else.

Status 1 means that something is wrong or not known, as listed.

` + exitStatus,
		Example: "  stateward snapshot plan .#forge --observed pool.json\n  stateward snapshot plan .#forge -o sanoid.conf > sanoid.conf",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := observedGiven(cmd, f.observed); err != nil {
				return err
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.sourceFlags.register(cmd)
	f.hostFlags.register(cmd, "the file")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, sanoid.conf, nix, syncoid, units or zfs-allow", "text", "text", "json", "sanoid.conf", "nix", "syncoid", "units", "zfs-allow")
	cmd.Flags().StringVar(&f.write, "write", "", "write the files into this `FOLDER` instead of printing them")
	cmd.Flags().StringVar(&f.user, "user", "syncoid", "the `USER` that runs syncoid here")
	cmd.Flags().StringVar(&f.sshKey, "ssh-key", "", "the `FILE` with the key that syncoid logs in with")
	cmd.Flags().StringVar(&f.knownHosts, "known-hosts", "", "the `FILE` with the keys of hosts that syncoid trusts; those of the system where it is not given")
	cmd.Flags().StringVar(&f.observed, "observed", "", "the snapshots that there are: a `FILE` of \"stateward capture zfs\"")
	return cmd
}

func (f *snapshotPlanFlags) run(ctx context.Context, env Env, args []string) error {
	var file *capture.PoolFile
	if f.observed != "" {
		var err error
		if file, err = readObserved(f.observed); err != nil {
			return err
		}
	}
	hosts, err := f.load(ctx, env, args)
	if err != nil {
		return err
	}
	rendered := f.output != "text" && f.output != "json"
	if f.write != "" && !rendered {
		return &hintedError{errors.New("--write is for files, and " + f.output + " is none"), "choose one with -o, such as -o units"}
	}
	switch {
	case len(hosts) != 1 && rendered:
		return &oneHostError{len(hosts), f.output}
	case len(hosts) != 1 && file != nil:
		return &oneHostError{len(hosts), "a capture of pools"}
	case file != nil:
		if err := f.captured(env, f.observed, file, &hosts[0]); err != nil {
			return err
		}
	}
	plan := SnapshotPlan{ProtocolVersion: protocolVersion, Hosts: []HostSnapshots{}}
	failed, sound := false, true
	for _, l := range hosts {
		h := planSnapshots(l, env.now(), file)
		if file != nil {
			h.Captured = capturedPools(env, f.observed, file)
		}
		failed = failed || l.err != nil
		sound = sound && h.Error == nil && len(h.Notes) == 0 && h.Status == stateward.StatusOK && !h.Captured.isOld()
		plan.Hosts = append(plan.Hosts, h)
	}
	switch {
	case rendered && plan.Hosts[0].Error != nil:
		printError(env.Stderr, &plainError{*plan.Hosts[0].Error})
	case rendered:
		var whole bool
		whole, err = f.render(env, plan.Hosts[0].host)
		sound = whole
	case f.output == "json":
		err = writeJSON(env, plan)
	default:
		for i := range plan.Hosts {
			if i > 0 {
				fmt.Fprintln(env.Stdout)
			}
			printSnapshots(env.Stdout, &plan.Hosts[i])
		}
	}
	return planStatus(err, failed, sound)
}

// render writes what is for sanoid, syncoid and zfs. It returns false, and says why, where it would not be the whole.
func (f *snapshotPlanFlags) render(env Env, h *stateward.Host) (bool, error) {
	files, faults := f.files(h)
	for _, x := range faults {
		printError(env.Stderr, faultError{x})
	}
	if len(faults) > 0 {
		return false, nil
	}
	if f.write == "" {
		return true, printFiles(env.Stdout, files, len(files) > 1)
	}
	_, err := writeFiles(env, f.write, files)
	return true, err
}

// files are those of the output, or why they cannot be written.
func (f *snapshotPlanFlags) files(h *stateward.Host) ([]planFile, []backup.Fault) {
	fault := func(subject string, err error) []backup.Fault { return []backup.Fault{{Subject: subject, Err: err}} }
	c, faults := sanoid.FromHost(h)
	list, more := sanoid.ReplicationsFromHost(h)
	for i := range list {
		if list[i].Source.Host+list[i].Target.Host != "" {
			list[i].SSHKey = cmp.Or(f.sshKey, list[i].SSHKey)
			if f.knownHosts != "" {
				list[i].KnownHosts, list[i].HostKeys = f.knownHosts, nil
			}
		}
	}
	var text string
	var err error
	switch f.output {
	case "sanoid.conf":
		if len(faults) > 0 {
			return nil, faults
		}
		if text, err = c.Render(); err != nil {
			return nil, fault("sanoid", err)
		}
		return []planFile{{"sanoid.conf", text}}, nil
	case "nix":
		if faults = append(faults, more...); len(faults) > 0 {
			return nil, faults
		}
		interval, every := sanoid.Interval(h), ""
		if len(h.Snapshots.Or(nil)) == 0 {
			interval = "hourly"
		}
		if len(c.Datasets) > 0 && interval == "" {
			return nil, fault("sanoid", errors.New("when it runs is not known"))
		}
		for _, r := range list {
			if events, ok := sanoid.WhenSent(h, r).Get(); ok && len(events) == 1 && (every == "" || every == events[0]) {
				every = events[0]
			} else if ok {
				return nil, fault("syncoid", &hintedError{errors.New("services.syncoid has one interval, and the replications have several"), "write them as units"})
			}
		}
		if len(list) > 0 && every == "" {
			return nil, fault("syncoid", errors.New("when it runs is not known"))
		}
		if text, err = sanoid.Module(c, interval, list, every, h.Zones); err != nil {
			return nil, fault("the module", err)
		}
		return []planFile{{"snapshots.nix", text}}, nil
	}
	if len(more) > 0 {
		return nil, more
	}
	var files []planFile
	var lines strings.Builder
	for _, r := range list {
		switch f.output {
		case "syncoid":
			args, err := r.Command()
			if err != nil {
				return nil, fault("replication "+r.Name, err)
			}
			line, err := shell.Command(args...)
			if err != nil {
				return nil, fault("replication "+r.Name, err)
			}
			fmt.Fprintln(&lines, line)
		case "zfs-allow":
			allows, err := r.Allows(f.user)
			if err != nil {
				return nil, fault("replication "+r.Name, err)
			}
			for _, a := range allows {
				fmt.Fprintf(&lines, "# %s of %s%s\n", map[bool]string{true: "source", false: "target"}[a.Dataset == r.Source.Dataset && a.Host == r.Source.Host], r.Name, map[bool]string{true: ", on " + a.Host}[a.Host != ""])
				for _, p := range a.Permissions {
					fmt.Fprintf(&lines, "#   %s: %s\n", p.Name, p.Why)
				}
				line, err := shell.Command(a.Command()...)
				if err != nil {
					return nil, fault("replication "+r.Name, err)
				}
				fmt.Fprintln(&lines, line)
			}
		case "units":
			when, ok := sanoid.WhenSent(h, r).Get()
			if !ok {
				return nil, fault("replication "+r.Name, errors.New("when it runs is not known"))
			}
			service, timer, err := r.Units(sanoid.UnitOptions{Syncoid: "/run/current-system/sw/bin/syncoid", User: f.user, Path: []string{"/run/booted-system/sw/bin", "/run/current-system/sw/bin"}, OnCalendar: when, Zones: h.Zones})
			if err != nil {
				return nil, fault("replication "+r.Name, err)
			}
			files = append(files, planFile{r.UnitName() + ".service", service}, planFile{r.UnitName() + ".timer", timer})
			if text := r.KnownHostsText(); text != "" {
				files = append(files, planFile{filepath.Base(r.KnownHosts), text})
			}
		}
	}
	if f.output != "units" {
		files = append(files, planFile{map[string]string{"syncoid": "syncoid.sh", "zfs-allow": "zfs-allow.sh"}[f.output], lines.String()})
	}
	return files, nil
}

// faultError gives a fault the advice of what it is about.
type faultError struct{ backup.Fault }

func (e faultError) Hint() string {
	var h hinter
	if errors.As(e.Err, &h) {
		return h.Hint()
	}
	return ""
}

func planSnapshots(l loaded, now time.Time, file *capture.PoolFile) HostSnapshots {
	h := HostSnapshots{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Policies: []PolicyOutput{}, Replications: []ReplicationOutput{}, Notes: []SnapshotNote{}}
	if l.err != nil {
		h.Error = errorOutput(l.err)
		return h
	}
	h.host, h.Status = l.host, l.host.Status
	policies, faults := backup.SnapshotPolicies(l.host)
	replications, more := backup.Replications(l.host)
	note := func(trap, subject, message, hint, option string) {
		h.Notes = append(h.Notes, SnapshotNote{trap, subject, message, hint, option})
	}
	for _, x := range append(faults, more...) {
		trap := ""
		if strings.HasPrefix(x.Subject, "snapshot policy") {
			trap = "S1"
		}
		note(trap, x.Subject, x.Err.Error(), faultError{x}.Hint(), x.Origin.Option)
	}
	for what, why := range map[string]func() (stateward.Unknown, bool){"snapshot policies": l.host.Snapshots.Why, "replications": l.host.Replications.Why, "datasets": l.host.Datasets.Why} {
		if why, unknown := why(); unknown {
			note("", what, "not known: "+why.String(), "", why.Subject)
		}
	}
	pruned := map[string]*PruneOutput{}
	if file != nil {
		pruned = prunes(policies, file)
	}
	for i := range policies {
		p := &policies[i]
		out := PolicyOutput{Dataset: p.Dataset, Option: p.Origin.Option, Templates: append([]string{}, p.Templates...), Recursive: recursiveText(p), Settings: []SettingOutput{}, Prunes: pruned[p.Dataset]}
		if p.By != nil {
			out.TakenBy = p.By.Dataset
		}
		for _, key := range shownSettings {
			s, ok := p.Settings[key]
			if !ok {
				continue
			}
			one := SettingOutput{Key: key, Value: s.Or("unknown"), Option: s.Origin().Option}
			if s.Default {
				one.Option = ""
			}
			out.Settings = append(out.Settings, one)
		}
		if why, unknown := p.Policy.Why(); unknown {
			out.Unknown = why.String()
		} else {
			out.Keeps, out.Oldest = keeps(p)
			if g := p.Gap(now, time.UTC); g.State == backup.GapBounded {
				out.Newest = span(g.Age)
			}
		}
		if list := p.Unasked(); len(list) > 0 {
			note("S1", p.Dataset, "sanoid keeps "+strings.Join(list, ", ")+" snapshots by its own defaults, which no setting names", "write what is meant, 0 too", p.Origin.Option)
		}
		if taken, ok := p.Taken().Get(); ok && len(taken) == 0 && p.AutoSnap.Or(false) {
			note("S1", p.Dataset, "snapshots are taken and none is kept", "keep some, such as hourly = 24"+map[bool]string{true: ", or write autosnap = false"}[p.By == nil], p.Origin.Option)
		}
		h.Policies = append(h.Policies, out)
	}
	for i := range replications {
		r := &replications[i]
		c := backup.Continuity(policies, r, now, time.UTC)
		text := func(v stateward.Value[backup.Place]) string {
			if p, ok := v.Get(); ok {
				return p.String()
			}
			return "unknown"
		}
		h.Replications = append(h.Replications, ReplicationOutput{r.Name, r.Origin.Option, text(r.Source), text(r.Target), c.State, c.Why})
		switch c.State {
		case backup.ContinuityBroken:
			note("S3", r.Name, c.Why, backup.HandMadeHint, r.Origin.Option)
		case backup.ContinuityUnknown:
			note("S3", r.Name, "whether the next run finds its base is not known: "+c.Why, "", r.Origin.Option)
		}
		for _, x := range r.Hazards() {
			note("S4", r.Name, x.Message, x.Hint, r.Origin.Option)
		}
		switch is, doubt := sanoid.Unencrypted(l.host, r); {
		case doubt != "":
			note("S7", r.Name, "whether what is encrypted is sent unencrypted is not known: "+doubt, "", r.Origin.Option)
		case is:
			note("S7", r.Name, "what is sent is declared to be encrypted, and it is sent unencrypted: whoever has the target can read it, unless the target encrypts it itself", `set sendOptions = "w"; a target that has some already has to be sent anew`, r.Origin.Option)
		}
	}
	for _, c := range backup.Collisions(replications) {
		note("S8", c.Replication, c.Message, c.Hint, c.Origin.Option)
	}
	for _, d := range l.host.Datasets.Or(nil) {
		if name, ok := d.SnapshotPolicy.Get(); ok {
			p, doubt := backup.Governing(policies, d.Name)
			switch {
			case doubt != "":
				note("", d.Name, "snapshots by policy "+name+" are asked for, and whether they are taken is not known: "+doubt, "", d.SnapshotPolicy.Origin().Option)
			case p == nil:
				note("", d.Name, "snapshots by policy "+name+" are asked for, and nothing that is read takes them", "import what -o nix writes", d.SnapshotPolicy.Origin().Option)
			case !slices.Contains(p.Templates, name) && !keepsAs(p, name):
				note("", d.Name, "snapshots by policy "+name+" are asked for, and it goes by the "+p.String()+", which keeps others", "write use_template = [ \""+name+"\" ] for it, or the policy that is meant", d.SnapshotPolicy.Origin().Option)
			}
		} else if why, unknown := d.SnapshotPolicy.Why(); unknown {
			note("", d.Name, "which snapshots are asked for is not known: "+why.String(), "", why.Subject)
		}
		for _, a := range d.Replicate {
			to := a.Target.Or("a target that is not known")
			if !slices.ContainsFunc(l.host.Replications.Or(nil), func(r stateward.Replication) bool { return r.Source.Or("") == d.Name && r.Target.Or("") == to }) {
				note("", d.Name, "it is asked to be sent to "+to+", and nothing that is read does", "import what -o nix writes", a.Origin.Option)
			}
		}
	}
	if len(policies) > 0 {
		others, why := backup.OtherSnapshots(l.host)
		for _, u := range others {
			note("S9", u, "may take snapshots of the same datasets, and of which is not read", "let one of them take snapshots, and turn the other off", "systemd.services."+strings.TrimSuffix(u, ".service"))
		}
		if why != nil {
			note("S9", "units", "whether another tool takes snapshots is not known: "+why.String(), "", why.Subject)
		}
	}
	slices.SortStableFunc(h.Notes, func(a, b SnapshotNote) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Trap, b.Trap))
	})
	return h
}

// keepsAs tells whether a policy keeps what a preset does.
func keepsAs(p *backup.SnapshotPolicy, name string) bool {
	preset, ok := sanoid.Presets()[name]
	have, known := p.Policy.Get()
	if !ok || !known {
		return false
	}
	want, _, err := backup.ParseSanoidPolicy(preset)
	return err == nil && want == have
}

// shownSettings are the keys that say what is taken, kept and pruned.
var shownSettings = []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly", "autosnap", "autoprune"}

func recursiveText(p *backup.SnapshotPolicy) string {
	on, known := p.Children.Get()
	switch {
	case !known:
		return "unknown"
	case p.Atomic:
		return "zfs"
	case on:
		return "yes"
	}
	return "no"
}

// keeps says how many of which type are kept, and for how long the oldest.
func keeps(p *backup.SnapshotPolicy) (text, oldest string) {
	policy, _ := p.Policy.Get()
	var parts []string
	var most time.Duration
	for _, t := range policy.Types() {
		if t.Keep > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t.Keep, t.Name))
			most = max(most, time.Duration(t.Keep)*t.Period)
		}
	}
	switch {
	case !policy.AutoPrune:
		return "all, as nothing is pruned", ""
	case len(parts) == 0:
		return "none", ""
	}
	return strings.Join(parts, ", "), span(most)
}

func span(d time.Duration) string {
	s, err := stateward.NewDuration(d.Round(time.Minute))
	if err != nil {
		return d.String()
	}
	return s.String()
}

// prunes says what sanoid would remove of the snapshots that were captured, by policy, as of the time when they were.
func prunes(policies []backup.SnapshotPolicy, file *capture.PoolFile) map[string]*PruneOutput {
	out := map[string]*PruneOutput{}
	history, held := map[string][]backup.Snapshot{}, map[string]bool{}
	of := map[string]*backup.SnapshotPolicy{}
	for _, s := range file.Observed.Snapshots {
		name := s.Dataset.String()
		p, looked := of[name]
		if !looked {
			p = backup.NearestPolicy(policies, name)
			of[name] = p
		}
		if p == nil || !p.Policy.IsKnown() {
			continue
		}
		id := name + "@" + s.Name
		history[p.Dataset] = append(history[p.Dataset], backup.Snapshot{ID: id, Time: time.Unix(s.Creation, 0)})
		held[id] = len(s.Holds)+len(s.Clones) > 0
	}
	for i := range policies {
		p := &policies[i]
		policy, ok := p.Policy.Get()
		if !ok || len(history[p.Dataset]) == 0 {
			continue
		}
		d, err := policy.Apply(history[p.Dataset], file.Taken)
		if err != nil {
			continue // it has no error for what a pool can have
		}
		o := &PruneOutput{Snapshots: len(history[p.Dataset]), Removed: []string{}, Stay: []string{}}
		for _, s := range d.Remove {
			if held[s.ID] {
				o.Stay = append(o.Stay, s.ID)
			} else {
				o.Removed = append(o.Removed, s.ID)
			}
		}
		slices.Reverse(o.Removed)
		slices.Reverse(o.Stay)
		out[p.Dataset] = o
	}
	return out
}

func printSnapshots(w io.Writer, h *HostSnapshots) {
	if h.Error != nil {
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	head := h.Name + ": " + count(len(h.Policies), "policy") + ", " + count(len(h.Replications), "replication")
	if h.Captured != nil {
		head += ", captured " + h.Captured.age
	}
	fmt.Fprintln(w, inLine(head))
	printOld(w, h.Captured)
	for _, p := range h.Policies {
		fmt.Fprintf(w, "  %s\n", inLine(p.Dataset+map[string]string{"yes": ", and each dataset below", "zfs": ", and all datasets below at the same moment", "unknown": ", and it is not known whether what is below"}[p.Recursive]))
		if p.Unknown != "" {
			fmt.Fprintf(w, "    not known: %s\n", inLine(p.Unknown))
		} else {
			line := "keeps " + p.Keeps
			if p.TakenBy != "" {
				line += " of what is taken with " + p.TakenBy
			}
			if p.Newest != "" {
				line += "; the newest is at most " + p.Newest + " old"
			}
			if p.Oldest != "" {
				line += ", the oldest stays for " + p.Oldest
			}
			fmt.Fprintf(w, "    %s\n", inLine(line))
		}
		var order []string
		by := map[string][]string{}
		for _, s := range p.Settings {
			from := cmp.Or(s.Option, "sanoid's defaults")
			// A setting has an option of its own: what they have in common says it for all of them.
			if base, ok := strings.CutSuffix(from, "."+s.Key); ok {
				from = base
			}
			if by[from] == nil {
				order = append(order, from)
			}
			by[from] = append(by[from], s.Key+" = "+s.Value)
		}
		for _, from := range order {
			fmt.Fprintf(w, "    %s  by %s\n", inLine(strings.Join(by[from], ", ")), inLine(from))
		}
		if x := p.Prunes; x != nil {
			fmt.Fprintf(w, "    removes %d of %s that there are\n", len(x.Removed), count(x.Snapshots, "snapshot"))
			for _, s := range x.Removed {
				fmt.Fprintf(w, "      - %s\n", inLine(s))
			}
			for _, s := range x.Stay {
				fmt.Fprintf(w, "      ! %s is to be removed, and is held or has a clone\n", inLine(s))
			}
		}
	}
	for _, r := range h.Replications {
		fmt.Fprintf(w, "  %s to %s\n    base %s: %s\n", inLine(r.Source), inLine(r.Target), r.Continuity, inLine(r.Why))
	}
	for _, n := range h.Notes {
		fmt.Fprintf(w, "  ! %s: %s%s\n", inLine(n.Subject), inLine(n.Message), map[bool]string{true: " [" + n.Trap + "]"}[n.Trap != ""])
		if n.Hint != "" {
			fmt.Fprintf(w, "    hint: %s\n", inLine(n.Hint))
		}
		if n.Option != "" {
			fmt.Fprintf(w, "    by %s\n", inLine(n.Option))
		}
	}
	if h.Status == stateward.StatusPartial {
		fmt.Fprintln(w, "  partial: some values could not be evaluated; stateward check lists them")
	}
}
