package preseed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/text"
)

// FormatVersion is that of the JSON of a [Plan].
const FormatVersion = "1"

// Plan is what a run needs to know of one dataset.
type Plan struct {
	// ProtocolVersion is [FormatVersion].
	ProtocolVersion string `json:"protocolVersion"`
	// Service is for people. Name is that of units and files, and names the dataset within the staging area: letters, digits, "_", "-" and ".".
	Name    string `json:"name"`
	Service string `json:"service"`
	// Units are those of the service, which must not run while datasets are exchanged.
	Units []string `json:"units"`
	// Dataset is what is filled, Mountpoint where it is mounted.
	Dataset    string `json:"dataset"`
	Mountpoint string `json:"mountpoint"`
	// Properties are those that are declared for it. What takes its place gets all of them when it is made.
	Properties map[string]string `json:"properties,omitempty"`
	// Owner, Group and Mode are those of the mounted folder; empty where none is declared.
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	Mode  string `json:"mode,omitempty"`
	// MayHold are paths within the dataset that something else than its service makes, such as a rule of tmpfiles: folders, links, and files with
	// nothing in them. With nothing else in it the dataset is empty. What is in such a folder counts.
	MayHold []string `json:"mayHold,omitempty"`
	// Sources are asked in this order.
	Sources []Source `json:"sources"`
	// OnNoBackup is "refuse" or "start-empty". Required (E7).
	OnNoBackup OnNoBackup `json:"onNoBackup"`
	// MaxAge is how old what is restored may be, as systemd.time(7) has it; empty for any.
	MaxAge string `json:"maxAge,omitempty"`
	// MinBytes is how much must be restored at least.
	MinBytes int64 `json:"minBytes,omitempty"`
	// Paths are those within the dataset that are restored from restic; all where there is none.
	Paths []string `json:"paths,omitempty"`
	// SQLite has every database of SQLite checked before it takes its place; Command is run with the restored folder as its only argument.
	SQLite  bool     `json:"sqlite,omitempty"`
	Command []string `json:"command,omitempty"`
	// Staging is a dataset on the same pool that nothing snapshots or replicates; POOL/stateward-staging where it is empty.
	Staging string `json:"staging,omitempty"`
	// Timeout is how long a run waits, and tries again what went wrong, as systemd.time(7) has it: 6 hours where it is empty. What is being restored is not cut off,
	// but where nothing of it has come for as long.
	Timeout string `json:"timeout,omitempty"`
	// MetricsDir is where node_exporter reads text files.
	MetricsDir string `json:"metricsDir,omitempty"`
	// Notify are the templates of notifications: onSuccess is sent where it was restored, onFailure where the service must not start, where it starts
	// empty, and where a run waits for long. There is no onStart.
	Notify backup.Notify `json:"notify,omitzero"`
}

// Source is one of the sources.
type Source struct {
	Kind SourceKind `json:"kind"`
	// From is the replica: "tank2/backup/app", or "user@host:tank/backup/app".
	From string `json:"from,omitempty"`
	// SSHKey and KnownHosts are files, for a replica on another host.
	SSHKey     string `json:"sshKey,omitempty"`
	KnownHosts string `json:"knownHosts,omitempty"`
	// Job is the file with the job of restic that backs the dataset up: where, and under which paths, its record says (R2).
	Job string `json:"job,omitempty"`
	// Policy is the file with the policy by which the cluster of PostgreSQL is archived whose data directory lies in the dataset.
	Policy string `json:"policy,omitempty"`
	// Timeout is how long one try may take: 10 minutes to ask where it is empty; what is being restored is not cut off by it.
	Timeout string `json:"timeout,omitempty"`
}

// PlanError says what is wrong with a plan.
type PlanError struct{ Plan, Field, Reason, hint string }

func (e *PlanError) Error() string {
	if e.Plan == "" {
		return fmt.Sprintf("preseed: %s %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("preseed %q: %s %s", e.Plan, e.Field, e.Reason)
}

// Hint says what to write instead; it may be empty.
func (e *PlanError) Hint() string { return e.hint }

// ReadPlan reads the JSON of a plan. A field that is not known is an error.
func ReadPlan(data []byte) (Plan, error) {
	var p Plan
	if err := text.ReadJSON(data, &p); err != nil {
		if p.Name != "" {
			return Plan{}, fmt.Errorf("preseed %q: %w", p.Name, err)
		}
		return Plan{}, fmt.Errorf("preseed: %w", err)
	}
	if err := p.Validate(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// Write returns the JSON that [ReadPlan] reads. The error is that of [Plan.Validate].
func (p Plan) Write() ([]byte, error) {
	p.ProtocolVersion = FormatVersion
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(p)
	return b.Bytes(), err
}

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// Validate says what is wrong with a plan: the error is a *[PlanError].
func (p Plan) Validate() error {
	fault := func(field, reason, hint string) error {
		// What others say of a value begins with what it is.
		return &PlanError{p.Name, field, strings.TrimPrefix(reason, field+" "), hint}
	}
	if p.ProtocolVersion != FormatVersion {
		return fault("protocolVersion", fmt.Sprintf("is %q", p.ProtocolVersion), "this stateward reads version "+FormatVersion)
	}
	if p.Name == "" || len(p.Name) > 64 || strings.Trim(p.Name, nameRunes) != "" || strings.Trim(p.Name[:1], "._-") == "" {
		return fault("name", "is no name", `use up to 64 letters, digits, "_", "-" and ".", beginning with a letter or digit`)
	}
	name, err := dataset.ParseName(p.Dataset)
	if err != nil {
		return fault("dataset", err.Error(), "")
	}
	if name.IsPool() {
		return fault("dataset", "is a whole pool", "give the service a dataset of its own")
	}
	reason := badPath(p.Mountpoint)
	if p.Mountpoint == "/" {
		reason = "is the root of the machine"
	}
	if reason != "" {
		return fault("mountpoint", fmt.Sprintf("%q %s", p.Mountpoint, reason), "write where the dataset is mounted")
	}
	staging, err := dataset.ParseName(p.StagingArea())
	if err != nil {
		return fault("staging", err.Error(), "")
	}
	switch {
	case staging.Pool() != name.Pool():
		return fault("staging", "is on another pool, from which nothing can be renamed", "name a dataset of "+name.Pool())
	case staging == name || staging.Below(name) || name.Below(staging):
		return fault("staging", "and the dataset lie in one another", "name a dataset beside it")
	case staging.IsPool():
		return fault("staging", "is a whole pool", "name a dataset of it")
	}
	for _, u := range p.Units {
		if strings.Trim(u, nameRunes+`:@\`) != "" || !strings.Contains(u, ".") {
			return fault("units", fmt.Sprintf("has %q, which is no unit", u), "")
		}
		// Of a template systemd tells no state, so that no run would ever know that nobody writes.
		if name, _, _ := strings.Cut(u, "."); strings.HasSuffix(name, "@") {
			return fault("units", fmt.Sprintf("has %q, which is a template and never runs", u), "name its instances, as in "+name+"NAME.service")
		}
		if u == p.UnitName() {
			return fault("units", fmt.Sprintf("has %q, which runs the plan and would wait for itself", u), "name the units of the service")
		}
	}
	if len(p.Units) == 0 {
		return fault("units", "is empty", "name the units of the service: while they run, nothing is exchanged")
	}
	for _, property := range slices.Sorted(maps.Keys(p.Properties)) {
		if property == "mountpoint" || property == "canmount" || property == MarkerProperty {
			return fault("properties", "has "+property+", which the run sets itself", "leave it out")
		}
		if _, err := dataset.ParseSetting(property, p.Properties[property], dataset.Filesystem); err != nil {
			return fault("properties", err.Error(), "")
		}
	}
	for _, o := range []struct{ field, text string }{{"owner", p.Owner}, {"group", p.Group}} {
		if o.text != "" {
			if _, err := stateward.ParseOwner(o.text); err != nil {
				return fault(o.field, err.Error(), "")
			}
		}
	}
	if p.Mode != "" {
		if _, err := stateward.ParseMode(p.Mode); err != nil {
			return fault("mode", err.Error(), "")
		}
	}
	for _, list := range []struct {
		field string
		paths []string
	}{{"mayHold", p.MayHold}, {"paths", p.Paths}} {
		for _, rel := range list.paths {
			if rel == "" || rel == "." || path.IsAbs(rel) || path.Clean(rel) != rel || rel == ".." || strings.HasPrefix(rel, "../") || badPath("/"+rel) != "" {
				return fault(list.field, fmt.Sprintf("has %q, which is no path within the dataset", rel), "write it as it is below the mountpoint, without a leading /")
			}
		}
	}
	if err := p.validateSources(fault); err != nil {
		return err
	}
	switch p.OnNoBackup {
	case Refuse, StartEmpty:
	case "":
		return fault("onNoBackup", "is missing", `write "refuse", or "start-empty" where the service may begin anew`)
	default:
		return fault("onNoBackup", fmt.Sprintf("is %q", p.OnNoBackup), `write "refuse" or "start-empty"`)
	}
	for _, span := range []struct{ field, text string }{{"maxAge", p.MaxAge}, {"timeout", p.Timeout}} {
		if _, err := spanOf(span.text, 0); err != nil {
			return fault(span.field, err.Error(), "")
		}
	}
	if err := p.Notify.Validate(); err != nil {
		return fault("notify", err.Error(), (&backup.NotifyError{}).Hint())
	}
	if p.Notify.OnStart != "" {
		return fault("notify.onStart", "is never sent: a run that finds all well is none to tell of", "write onSuccess or onFailure")
	}
	if p.MinBytes < 0 {
		return fault("minBytes", "is negative", "")
	}
	// A name without a slash is found in PATH, as bash is: a text in a configuration is for that.
	if len(p.Command) > 0 && badPath(p.Command[0]) != "" && (p.Command[0] == "" || strings.Trim(p.Command[0], nameRunes) != "" || strings.HasPrefix(p.Command[0], ".")) {
		return fault("command", fmt.Sprintf("begins with %q, which is no absolute path and no name of a program", p.Command[0]), "")
	}
	if p.MetricsDir != "" && badPath(p.MetricsDir) != "" {
		return fault("metricsDir", fmt.Sprintf("%q %s", p.MetricsDir, badPath(p.MetricsDir)), "")
	}
	return nil
}

func (p Plan) validateSources(fault func(field, reason, hint string) error) error {
	if len(p.Sources) == 0 {
		return fault("sources", "is empty", "name one, or leave the preseed out")
	}
	seen := map[SourceKind]bool{}
	for i, s := range p.Sources {
		field := fmt.Sprintf("sources[%d]", i)
		if seen[s.Kind] {
			return fault(field, fmt.Sprintf("is %s once more", s.Kind), "each is asked once")
		}
		seen[s.Kind] = true
		for _, f := range []struct {
			name, value string
			of          SourceKind
		}{{"from", s.From, Replica}, {"sshKey", s.SSHKey, Replica}, {"knownHosts", s.KnownHosts, Replica}, {"job", s.Job, Restic}, {"policy", s.Policy, PITR}} {
			if f.value != "" && f.of != s.Kind {
				return fault(field+"."+f.name, "is for "+string(f.of)+" only", "leave it out")
			}
			if f.value != "" && f.name != "from" && badPath(f.value) != "" {
				return fault(field+"."+f.name, fmt.Sprintf("%q %s", f.value, badPath(f.value)), "")
			}
		}
		switch s.Kind {
		case Local:
		case Replica:
			at, err := s.Place()
			if err != nil {
				return fault(field+".from", err.Error(), `write "pool/dataset" or "user@host:pool/dataset"`)
			}
			if at.Host == "" && (at.Dataset == p.Dataset || within(p.StagingArea(), at.Dataset)) {
				return fault(field+".from", "is the dataset itself, or in the staging area", "name the replica")
			}
			if at.Host == "" && (within(p.Dataset, at.Dataset) || within(at.Dataset, p.Dataset)) {
				return fault(field+".from", fmt.Sprintf("and the dataset lie in one another: %s is no replica of %s", at.Dataset, p.Dataset), "name the replica")
			}
		case Restic:
			if s.Job == "" {
				return fault(field+".job", "is missing", "name the file with the job that backs the dataset up")
			}
		case PITR:
			if s.Policy == "" {
				return fault(field+".policy", "is missing", "name the file with the policy by which the cluster is archived")
			}
		default:
			return fault(field+".kind", fmt.Sprintf("is %q", s.Kind), "write local, replica, restic or pitr")
		}
		if _, err := spanOf(s.Timeout, 0); err != nil {
			return fault(field+".timeout", err.Error(), "")
		}
	}
	return nil
}

// Place reads [Source.From].
func (s Source) Place() (backup.Place, error) {
	host, _, remote := strings.Cut(s.From, ":")
	if remote && (host == "" || strings.HasPrefix(host, "-") || strings.Trim(host, nameRunes+"@") != "" || strings.Count(host, "@") > 1) {
		return backup.Place{}, fmt.Errorf("%q is no host", host)
	}
	at, err := backup.ParsePlace(s.From)
	if err != nil {
		return backup.Place{}, err
	}
	_, err = dataset.ParseName(at.Dataset)
	return at, err
}

// StagingArea is the dataset below which a run makes what it needs.
func (p Plan) StagingArea() string {
	if p.Staging != "" {
		return p.Staging
	}
	pool, _, _ := strings.Cut(p.Dataset, "/")
	return pool + "/stateward-staging"
}

// Staged and Displaced are the names of what takes the place of the dataset, and of what had it.
func (p Plan) Staged() string { return p.StagingArea() + "/" + p.Name }

// Displaced is the name that the empty dataset gets, which is kept until the service was healthy.
func (p Plan) Displaced() string { return p.StagingArea() + "/" + p.Name + "-was" }

// Policy is what [Next] asks for. A plan that is not valid has none.
func (p Plan) Policy() Policy {
	out := Policy{OnNoBackup: p.OnNoBackup, Paths: p.Paths, Validate: p.SQLite || len(p.Command) > 0 || p.MinBytes > 0}
	for _, s := range p.Sources {
		out.Sources = append(out.Sources, s.Kind)
	}
	out.MaxAge, _ = spanOf(p.MaxAge, 0)
	return out
}

// Remote tells whether any source needs the network. A repository that only a file names may.
func (p Plan) Remote(job func(file string) (restic.Job, error)) bool {
	return slices.ContainsFunc(p.Sources, func(s Source) bool {
		switch s.Kind {
		case Replica:
			at, err := s.Place()
			return err != nil || at.Host != ""
		case Restic:
			j, err := job(s.Job)
			if err != nil || j.Repository == "" {
				return true
			}
			r, err := restic.ParseRepository(j.Repository)
			return err != nil || r.Scheme != "local"
		case PITR:
			return true
		}
		return false
	})
}

// Patience is how long a run waits, and tries again what went wrong.
func (p Plan) Patience() time.Duration {
	d, err := spanOf(p.Timeout, DefaultTimeout)
	if err != nil {
		return DefaultTimeout
	}
	return d
}

// AskPatience is how long one try to ask a source may take.
func (s Source) AskPatience() time.Duration {
	d, err := spanOf(s.Timeout, defaultAsk)
	if err != nil {
		return defaultAsk
	}
	return d
}

const defaultAsk = 10 * time.Minute

// DefaultTimeout is that of a plan that does not say.
const DefaultTimeout = 6 * time.Hour

func spanOf(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := stateward.ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d.Std() <= 0 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	return d.Std(), nil
}

func badPath(p string) string {
	switch {
	case !path.IsAbs(p):
		return "is not absolute"
	case path.Clean(p) != p:
		return "is not written plainly: " + path.Clean(p)
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return "has a character that no path here may have"
	}
	return ""
}

func within(dir, p string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
