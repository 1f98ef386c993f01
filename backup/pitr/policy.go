package pitr

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/text"
)

// Span is a time span, written as systemd.time(7) has it: "14d", "1h 30min".
type Span time.Duration

// Std is the span as the standard library has it.
func (s Span) Std() time.Duration { return time.Duration(s) }

// MarshalText writes the largest whole units.
func (s Span) MarshalText() ([]byte, error) {
	d, err := stateward.NewDuration(s.Std())
	return []byte(d.String()), err
}

// UnmarshalText reads what [stateward.ParseDuration] does.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := stateward.ParseDuration(string(text))
	*s = Span(d.Std())
	return err
}

// PolicyError says what is wrong with a field of a policy.
type PolicyError struct{ Field, Reason, Advice string }

func (e *PolicyError) Error() string { return e.Field + " " + e.Reason }

// Hint says what to write instead; it may be empty.
func (e *PolicyError) Hint() string { return e.Advice }

// ReadPolicy reads the JSON of a policy. A field that is not known is an error; the others are *[PolicyError]. zones knows the time zones that
// its schedule may name.
func ReadPolicy(data []byte, zones stateward.Zones) (Policy, error) {
	var p Policy
	if err := text.ReadJSON(data, &p); err != nil {
		return Policy{}, spanError(data, err)
	}
	if err := p.Validate(); err != nil {
		return p, err
	}
	var said struct{ Window *string }
	if err := json.Unmarshal(data, &said); err == nil && said.Window != nil && p.Window == 0 {
		return p, &PolicyError{"window", "of 0 is none", noWindow}
	}
	for _, event := range p.Schedule {
		var bad interface{ Hint() string }
		if _, err := backup.ParseCalendar(event, zones); errors.As(err, &bad) {
			return p, &PolicyError{"schedule:", err.Error(), bad.Hint()}
		}
	}
	return p, nil
}

// noWindow is what to write in place of a window of 0.
const noWindow = `leave it out where nothing is to be removed by age, or write how far back any moment is to be recovered, such as "14d"`

// spanError says in which field a time span is that could not be read, which encoding/json does not.
func spanError(data []byte, err error) error {
	var bad *stateward.DurationError
	var fields struct {
		Window, ArchiveTimeout any
		Drill                  struct{ Every any }
	}
	if !errors.As(err, &bad) || json.Unmarshal(data, &fields) != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		value any
	}{{"window", fields.Window}, {"archiveTimeout", fields.ArchiveTimeout}, {"drill.every", fields.Drill.Every}} {
		if text, is := f.value.(string); is {
			if _, err := stateward.ParseDuration(text); errors.As(err, &bad) {
				return &PolicyError{f.name + ":", bad.Error(), bad.Hint()}
			}
		}
	}
	return err
}

// isStore tells whether a destination is a URL as the tools of that cloud take it.
func (p Policy) isStore() bool {
	scheme, rest, ok := strings.Cut(p.Destination, "://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok || host == "" {
		return false
	}
	return scheme == "s3" || cmp.Or(p.Cloud, "aws-s3") != "aws-s3"
}

// Validate says what is wrong with a policy: the error is a *[PolicyError].
func (p Policy) Validate() error {
	for _, f := range []struct{ name, value, hint string }{
		{"destination", p.Destination, `write the URL of the store, such as "s3://bucket/postgresql"`},
		{"server", p.Server, "write the name below which barman-cloud stores the cluster"},
		{"cluster.dataDir", p.Cluster.DataDir, `write the data directory, such as "/var/lib/postgresql/17"`},
	} {
		if f.value == "" {
			return &PolicyError{f.name, "is missing", f.hint}
		}
	}
	if p.Server[0] == '-' || strings.ContainsAny(p.Server, "/\n\x00") {
		return &PolicyError{"server", fmt.Sprintf("%q is no name of a server", p.Server), "write a name without a slash that begins with no dash"}
	}
	// It is in the names of units, files and folders.
	if n := p.Cluster.Name; n != "" && (strings.ContainsAny(n[:1], ".-") || strings.ContainsAny(n, "/ \t\n\r\x00\"'\\")) {
		return &PolicyError{"cluster.name", fmt.Sprintf("%q is no name", n), "write a name of letters and digits"}
	}
	if _, rest, ok := strings.Cut(p.Destination, "://"); ok {
		if where, _, _ := strings.Cut(rest, "/"); strings.Contains(where, "@") {
			return &PolicyError{"destination", "has a user or a password in it", "write these into the environment file"}
		}
	}
	for _, f := range []struct{ name, value string }{
		{"cluster.dataDir", p.Cluster.DataDir}, {"cluster.walDir", p.Cluster.WALDir}, {"cluster.binDir", p.Cluster.BinDir}, {"cluster.socket", p.Cluster.Socket},
		{"environmentFile", p.EnvironmentFile}, {"credentialsFile", p.CredentialsFile}, {"metricsDir", p.MetricsDir},
	} {
		if f.value != "" && !path.IsAbs(f.value) {
			return &PolicyError{f.name, fmt.Sprintf("%q is no absolute path", f.value), ""}
		}
	}
	for _, f := range []struct {
		name, value string
		known       []string
	}{
		{"provider", p.Provider, Providers()},
		{"cloud", p.Cloud, []string{"aws-s3", "azure-blob-storage", "google-cloud-storage"}},
		{"compression", p.Compression, []string{"none", "gzip", "bzip2", "snappy", "xz", "zstd", "lz4"}},
	} {
		if f.value != "" && !slices.Contains(f.known, f.value) {
			return &PolicyError{f.name, fmt.Sprintf("%q is not known", f.value), "write " + strings.Join(f.known, ", ")}
		}
	}
	if !p.isStore() {
		return &PolicyError{"destination", fmt.Sprintf("%q is no URL of a store of %s", p.Destination, cmp.Or(p.Cloud, "aws-s3")), `write it with its scheme, such as "s3://bucket/postgresql"`}
	}
	// A number without a unit is one of seconds, and a retention by seconds removes all that the window was meant to keep.
	if p.Window != 0 && p.Window.Std() < time.Hour {
		return &PolicyError{"window", "of " + spanText(p.Window) + " is less than an hour", `write its unit, such as "14d": a number alone is one of seconds`}
	}
	if p.ArchiveTimeout != 0 && p.ArchiveTimeout.Std() < time.Second {
		return &PolicyError{"archiveTimeout", "is less than a second", `write whole seconds, such as "5min"`}
	}
	if c := p.Cluster; c.Port < 0 || c.Port > 65535 {
		return &PolicyError{"cluster.port", fmt.Sprintf("%d is no port", c.Port), "write that of the server, such as 5432"}
	}
	if p.Redundancy < 0 {
		return &PolicyError{"redundancy", "is less than zero", ""}
	}
	if d := p.Drill; d != nil && d.Every != 0 && d.Every.Std() < 24*time.Hour {
		return &PolicyError{"drill.every", "is less than a day", "a day is the least"}
	}
	var n *backup.NotifyError
	if err := p.Notify.Validate(); errors.As(err, &n) {
		return &PolicyError{"notify." + n.Field, fmt.Sprintf("is %q, which is no name of a template", n.Name), n.Hint()}
	}
	return nil
}

// Store is where the archive lies: at a provider, or on a host that is named.
func (p Policy) Store() backup.Repository {
	r := backup.Repository{Where: backup.WhereProvider}
	if p.Endpoint != "" {
		r = backup.ParseRepository("restic", "s3:"+p.Endpoint)
	}
	r.Name = p.Destination
	return r
}
