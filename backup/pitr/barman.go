package pitr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tools of barman-cloud.
const (
	ToolWALArchive      = "barman-cloud-wal-archive"
	ToolWALRestore      = "barman-cloud-wal-restore"
	ToolBackup          = "barman-cloud-backup"
	ToolBackupList      = "barman-cloud-backup-list"
	ToolBackupDelete    = "barman-cloud-backup-delete"
	ToolRestore         = "barman-cloud-restore"
	ToolCheckWALArchive = "barman-cloud-check-wal-archive"
)

// Flags are the options and arguments that one installed tool names itself.
type Flags struct {
	Tool string
	// Options are "--gzip", "-z" …, sorted.
	Options []string
	// Arguments are those without a dash, in order: "destination_url", "server_name", "wal_path".
	Arguments []string
}

// Has tells whether the tool names an option.
func (f Flags) Has(option string) bool { return slices.Contains(f.Options, option) }

// ParseHelp reads what `TOOL --help` prints (G7). The error is a *[HelpError] where that is no help of barman-cloud.
func ParseHelp(text string) (Flags, error) {
	head, rest, ok := strings.Cut(strings.ReplaceAll(text, "\r", ""), "\n\n")
	usage, found := strings.CutPrefix(strings.TrimLeft(head, " \n"), "usage: ")
	words := strings.Fields(usage)
	if !found || !ok || len(words) == 0 || !strings.HasPrefix(words[0], "barman-cloud-") {
		return Flags{}, &HelpError{}
	}
	f := Flags{Tool: words[0]}
	positional := false
	usageLines := len(strings.Split(head, "\n"))
	for i, line := range append(strings.Split(head, "\n"), strings.Split(rest, "\n")...) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "positional arguments:":
			positional = true
		case line == trimmed && trimmed != "":
			positional = false
		case positional && trimmed != "" && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   "):
			f.Arguments = append(f.Arguments, strings.Fields(trimmed)[0])
		}
		if i >= usageLines && !strings.HasPrefix(line, "  -") {
			continue // what is written about an option may name others
		}
		for _, w := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" [](){}|,=.'`\"<>", r) }) {
			if len(w) > 1 && w[0] == '-' && strings.Trim(w, "-") != "" && !strings.HasSuffix(w, "-") && optional(w) {
				f.Options = append(f.Options, w)
			}
		}
	}
	slices.Sort(f.Options)
	f.Options = slices.Compact(f.Options)
	if len(f.Arguments) == 0 {
		return Flags{}, &HelpError{Tool: f.Tool}
	}
	return f, nil
}

func optional(w string) bool {
	name := strings.TrimPrefix(w, "-")
	if long, ok := strings.CutPrefix(name, "-"); ok {
		return len(long) > 1 && strings.Trim(long, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && long[0] != '-'
	}
	return len(name) == 1
}

// HelpError says that a text is no help of a tool of barman-cloud.
type HelpError struct{ Tool string }

func (e *HelpError) Error() string {
	if e.Tool != "" {
		return fmt.Sprintf("the help of %s names no arguments", e.Tool)
	}
	return "this is no help of a tool of barman-cloud"
}

// FlagError says that the installed tool does not know an option that a policy needs (G7).
type FlagError struct {
	Tool, Option string
	Known        []string
}

func (e *FlagError) Error() string { return fmt.Sprintf("%s has no option %s", e.Tool, e.Option) }

// Hint names what the tool knows.
func (e *FlagError) Hint() string {
	return fmt.Sprintf("this version of it knows %s; choose one of these, or another version", strings.Join(e.Known, ", "))
}

// Barman makes the commands of barman-cloud. Flags are what the installed tools name; of a tool that is not among them every option is
// taken that the current documentation has.
type Barman struct{ Flags map[string]Flags }

// compressionsOf are the options by which tools compress.
var compressionFlags = map[string]string{"gzip": "--gzip", "bzip2": "--bzip2", "snappy": "--snappy", "xz": "--xz", "zstd": "--zstd", "lz4": "--lz4"}

// check refuses an option that the tool does not name.
func (b Barman) check(tool string, options ...string) error {
	f, ok := b.Flags[tool]
	if !ok {
		return nil
	}
	for _, o := range options {
		if !f.Has(o) {
			return &FlagError{Tool: tool, Option: o, Known: slices.DeleteFunc(slices.Clone(f.Options), func(s string) bool { return !strings.HasPrefix(s, "--") })}
		}
	}
	return nil
}

// command puts options before the arguments, and refuses arguments that would be read as options.
func (b Barman) command(tool string, options []string, args ...string) ([]string, error) {
	var names []string
	for _, o := range options {
		if name, _, _ := strings.Cut(o, "="); strings.HasPrefix(o, "--") {
			names = append(names, name)
		}
	}
	if err := b.check(tool, names...); err != nil {
		return nil, err
	}
	for _, a := range args {
		if a == "" || strings.HasPrefix(a, "-") || strings.ContainsAny(a, "\n\x00") {
			return nil, &NameError{Text: a, Reason: "is no argument for " + tool, Advice: "destination, server name and path are not empty and begin with no dash"}
		}
	}
	return append(append([]string{tool}, options...), args...), nil
}

func (p Policy) cloud() []string {
	var out []string
	if p.Cloud != "" && p.Cloud != "aws-s3" {
		out = append(out, "--cloud-provider="+p.Cloud)
	}
	if p.Endpoint != "" {
		out = append(out, "--endpoint-url="+p.Endpoint)
	}
	return out
}

// profile is spelt as the tool does: --aws-profile since 3.17, --profile before.
func (b Barman) options(p Policy, tool string) []string {
	out := p.cloud()
	if p.Profile != "" {
		name := "--profile"
		if b.Flags[tool].Has("--aws-profile") {
			name = "--aws-profile"
		}
		out = append(out, name+"="+p.Profile)
	}
	return out
}

// writing are the options of what stores.
func (b Barman) writing(p Policy, tool string) ([]string, error) {
	out := b.options(p, tool)
	if p.Encryption != "" {
		out = append(out, "--encryption="+p.Encryption)
	}
	if p.Compression != "" && p.Compression != "none" {
		flag, ok := compressionFlags[p.Compression]
		if !ok {
			return nil, &FlagError{Tool: tool, Option: "--" + p.Compression, Known: []string{"--bzip2", "--gzip", "--lz4", "--snappy", "--xz", "--zstd"}}
		}
		out = append(out, flag)
	}
	return out, nil
}

// WALArchive stores one segment; wal is its path, "%p" in archive_command.
func (b Barman) WALArchive(p Policy, wal string) ([]string, error) {
	o, err := b.writing(p, ToolWALArchive)
	if err != nil {
		return nil, err
	}
	return b.command(ToolWALArchive, o, p.Destination, p.Server, wal)
}

// WALRestore brings one segment from a server's archive; "%f" and "%p" in restore_command.
func (b Barman) WALRestore(p Policy, name, to string) ([]string, error) {
	return b.command(ToolWALRestore, b.options(p, ToolWALRestore), p.Destination, p.Server, name, to)
}

// Backup makes a base backup. Base backups know gzip, bzip2 and snappy only: for another compression of the log none is asked for.
func (b Barman) Backup(p Policy) ([]string, error) {
	q := p
	if !slices.Contains([]string{"gzip", "bzip2", "snappy", "lz4"}, p.Compression) || p.Compression == "lz4" && !b.Flags[ToolBackup].Has("--lz4") {
		q.Compression = ""
	}
	o, err := b.writing(q, ToolBackup)
	if err != nil {
		return nil, err
	}
	if p.Cluster.Socket != "" {
		o = append(o, "--host="+p.Cluster.Socket)
	}
	if p.Cluster.Port != 0 {
		o = append(o, "--port="+strconv.Itoa(p.Cluster.Port))
	}
	if p.Cluster.User != "" {
		o = append(o, "--user="+p.Cluster.User)
	}
	return b.command(ToolBackup, o, p.Destination, p.Server)
}

// BackupList lists base backups as JSON, for [Barman.ParseBackupList].
func (b Barman) BackupList(p Policy) ([]string, error) {
	return b.command(ToolBackupList, append(b.options(p, ToolBackupList), "--format=json"), p.Destination, p.Server)
}

// Check says whether nothing lies below the server's name yet.
func (b Barman) Check(p Policy) ([]string, error) {
	return b.command(ToolCheckWALArchive, b.options(p, ToolCheckWALArchive), p.Destination, p.Server)
}

// Restore brings a base backup into a directory, and its tablespaces to where it is told, by their names.
func (b Barman) Restore(p Policy, id, dir string, tablespaces map[string]string) ([]string, error) {
	o := b.options(p, ToolRestore)
	for _, name := range slices.Sorted(maps.Keys(tablespaces)) {
		// The tool takes what is before the first colon for the name.
		if strings.Contains(name, ":") {
			return nil, &NameError{Text: name, Reason: "has a colon, and " + ToolRestore + " brings no such tablespace to another place", Advice: "rename it"}
		}
		o = append(o, "--tablespace="+name+":"+tablespaces[name])
	}
	return b.command(ToolRestore, o, p.Destination, p.Server, id, dir)
}

// Retention removes base backups, and the log before the oldest that stays: what is not needed to recover any moment of the window,
// and never so many that fewer than the redundancy stay. The error is a *[RetentionError] where the policy has no window or keeps less
// than one base backup.
func (b Barman) Retention(p Policy, dryRun bool) ([]string, error) {
	days := int((p.Window.Std() + 24*time.Hour - 1) / (24 * time.Hour))
	if days < 1 {
		return nil, &RetentionError{}
	}
	o := b.options(p, ToolBackupDelete)
	o = append(o, fmt.Sprintf("--retention-policy=RECOVERY WINDOW OF %d DAYS", days))
	// The tool keeps the base backup from which the window begins by itself; the number is for those that fail later.
	if f, known := b.Flags[ToolBackupDelete]; !known || f.Has("--minimum-redundancy") {
		o = append(o, "--minimum-redundancy="+strconv.Itoa(max(1, p.Redundancy)))
	} else if p.Redundancy > 1 {
		return nil, b.check(ToolBackupDelete, "--minimum-redundancy")
	}
	if dryRun {
		o = append(o, "--dry-run")
	}
	return b.command(ToolBackupDelete, o, p.Destination, p.Server)
}

// RetentionError says that a policy does not say for how long.
type RetentionError struct{}

func (e *RetentionError) Error() string { return "the policy has no recovery window" }

// Hint says what to write.
func (e *RetentionError) Hint() string { return `write "window", such as "14d"` }

// ListError says why a list of base backups cannot be read.
type ListError struct {
	Backup, Field, Text string
	Err                 error
}

func (e *ListError) Error() string {
	if e.Err != nil {
		return "the list of base backups is no JSON of barman-cloud-backup-list: " + e.Err.Error()
	}
	return fmt.Sprintf("base backup %s: %s is %q", e.Backup, e.Field, e.Text)
}

func (e *ListError) Unwrap() error { return e.Err }

// barmanBackup is what BackupInfo.to_json of barman writes.
type barmanBackup struct {
	ID           string          `json:"backup_id"`
	Name         *string         `json:"backup_name"`
	BeginISO     *string         `json:"begin_time_iso"`
	EndISO       *string         `json:"end_time_iso"`
	BeginLSN     *string         `json:"begin_xlog"`
	EndLSN       *string         `json:"end_xlog"`
	Timeline     json.RawMessage `json:"timeline"`
	SystemID     json.RawMessage `json:"systemid"`
	Status       string          `json:"status"`
	Error        *string         `json:"error"`
	Version      json.RawMessage `json:"version"`
	Size         json.RawMessage `json:"size"`
	ClusterSize  json.RawMessage `json:"cluster_size"`
	SegmentBytes json.RawMessage `json:"xlog_segment_size"`
	// Tablespaces are each a list of name, OID and location.
	Tablespaces [][]json.RawMessage `json:"tablespaces"`
}

// ParseBackupList reads what barman-cloud-backup-list --format=json prints: the base backups, and the size of their cluster's segments,
// which is zero where nothing says it. A base backup that cannot be understood is in the list as unreadable. Old versions
// (3.4 is one) print times without their zone: they are left out, and nobody guesses. The error is a *[ListError].
func (Barman) ParseBackupList(data []byte) ([]BaseBackup, SegmentSize, error) {
	var list struct {
		Backups *[]barmanBackup `json:"backups_list"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, 0, &ListError{Err: err}
	}
	if list.Backups == nil {
		return nil, 0, &ListError{Err: fmt.Errorf("it has no backups_list")}
	}
	var size SegmentSize
	out := make([]BaseBackup, 0, len(*list.Backups))
	for _, r := range *list.Backups {
		b, err := r.read()
		if err != nil && b.Status == BackupDone {
			b.Status, b.Fault = BackupUnreadable, err.Error()
		}
		if n := scalar(r.SegmentBytes); n != "" {
			bytes, _ := strconv.ParseUint(n, 10, 64)
			s, err := ParseSegmentSize(bytes)
			if err != nil || size != 0 && size != s {
				return nil, 0, &ListError{Backup: r.ID, Field: "xlog_segment_size", Text: n}
			}
			size = s
		}
		out = append(out, b)
	}
	return out, size, nil
}

func (r barmanBackup) read() (b BaseBackup, err error) {
	b = BaseBackup{ID: r.ID, Name: word(r.Name), Fault: word(r.Error)}
	switch r.Status {
	case "DONE", "WAITING_FOR_WALS":
		b.Status = BackupDone
	case "STARTED", "EMPTY", "SYNCING":
		b.Status = BackupRunning
	case "FAILED":
		b.Status = BackupFailed
	default:
		b.Status = BackupUnreadable
	}
	keep := func(field, text string, e error) {
		if e != nil && err == nil {
			err = &ListError{Backup: r.ID, Field: field, Text: text}
		}
	}
	moment := func(field string, s *string) (at time.Time) {
		text := word(s)
		if text == "" {
			return at
		}
		at, e := time.Parse(time.RFC3339Nano, text)
		if e != nil {
			return time.Time{} // without its zone it tells nothing
		}
		return at
	}
	b.Begin, b.End = moment("begin_time_iso", r.BeginISO), moment("end_time_iso", r.EndISO)
	place := func(field string, s *string) LSN {
		at, e := ParseLSN(word(s))
		keep(field, word(s), e)
		return at
	}
	b.BeginLSN, b.EndLSN = place("begin_xlog", r.BeginLSN), place("end_xlog", r.EndLSN)
	t, e := ParseTimeline(orZero(scalar(r.Timeline)))
	keep("timeline", scalar(r.Timeline), e)
	b.Timeline = t
	if id := scalar(r.SystemID); id != "" {
		b.SystemID, e = strconv.ParseUint(id, 10, 64)
		keep("systemid", id, e)
	}
	if v, e := strconv.Atoi(orZero(scalar(r.Version))); e == nil && v >= 100000 {
		b.Version = v / 10000
	}
	for _, t := range r.Tablespaces {
		var one Tablespace
		if len(t) == 3 {
			_ = json.Unmarshal(t[0], &one.Name)
			_ = json.Unmarshal(t[2], &one.Location)
			one.OID, _ = strconv.ParseUint(scalar(t[1]), 10, 64)
		}
		if one.Name == "" || one.OID == 0 || one.Location == "" {
			text, _ := json.Marshal(t)
			keep("tablespaces", string(text), &ListError{})
		}
		b.Tablespaces = append(b.Tablespaces, one)
	}
	// What newer versions tell of the cluster is what it needs when it is restored.
	for _, size := range []json.RawMessage{r.ClusterSize, r.Size} {
		if n, _ := strconv.ParseInt(orZero(scalar(size)), 10, 64); b.Size == 0 {
			b.Size = n
		}
	}
	return b, err
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

func word(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// scalar is a number or a text, whichever it was written as; empty where there is none.
func scalar(raw json.RawMessage) string {
	s := strings.Trim(string(raw), `"`)
	if s == "null" {
		return ""
	}
	return s
}
