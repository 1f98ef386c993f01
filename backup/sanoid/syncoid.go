package sanoid

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// Base is what both ends keep of a replication, so that the next run goes on from there (S3).
type Base int

// The ways.
const (
	// Bookmark sends the snapshots that there are, and bookmarks the newest on the source. No policy prunes a bookmark, it takes no room, and no
	// right to destroy anything is needed. On the target the newest snapshot has to stay, which sanoid sees to as long as it keeps one of its type.
	Bookmark Base = iota
	// SyncSnapshot has syncoid take a snapshot of its own each time, and hold it on both ends until the next: for a dataset of which nobody
	// takes snapshots. It destroys the one before, and so needs more rights.
	SyncSnapshot
)

func (b Base) String() string {
	switch b {
	case Bookmark:
		return "bookmark"
	case SyncSnapshot:
		return "sync snapshot"
	}
	return fmt.Sprintf("Base(%d)", int(b))
}

// End is a dataset of this machine, or of another one that is reached by ssh.
type End struct {
	// User and Host are empty for this machine.
	User, Host string
	Dataset    string
}

// ParseEnd reads "pool/dataset" or "user@host:pool/dataset".
func ParseEnd(text string) (End, error) {
	e := End{Dataset: text}
	if user, rest, remote := strings.Cut(text, "@"); remote {
		host, name, ok := strings.Cut(rest, ":")
		if !ok {
			return End{}, fmt.Errorf("%q is neither pool/dataset nor user@host:pool/dataset", text)
		}
		e = End{user, host, name}
	} else if head, _, found := strings.Cut(text, ":"); found && !strings.Contains(head, "/") {
		return End{}, &hinted{fmt.Sprintf("%q names a host and no user", text), "write user@" + text}
	}
	return e, e.validate()
}

type hinted struct{ text, hint string }

func (e *hinted) Error() string { return e.text }
func (e *hinted) Hint() string  { return e.hint }

func (e End) validate() error {
	if _, err := dataset.ParseName(e.Dataset); err != nil {
		return err
	}
	if e.Host == "" && e.User == "" {
		if strings.Contains(dataset.MustName(e.Dataset).Pool(), ":") {
			return fmt.Errorf("syncoid may take %q, whose pool has a colon, for a host", e.Dataset)
		}
		return nil
	}
	// syncoid hands both to a shell.
	if !word(e.User, "_-.") || !word(e.Host, "-.") {
		return fmt.Errorf("%q is no user and host of letters, digits, ., _ and -", e.User+"@"+e.Host)
	}
	return nil
}

func (e End) String() string {
	if e.Host == "" {
		return e.Dataset
	}
	return e.User + "@" + e.Host + ":" + e.Dataset
}

// word tells what begins with a letter or digit and has only those and others.
func word(s, others string) bool {
	const runes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && strings.Trim(s, runes+others) == "" && strings.Contains(runes, s[:1])
}

// Replication sends the snapshots of a dataset elsewhere with syncoid, without ever rolling back, destroying or mounting anything there.
type Replication struct {
	Name           string
	Source, Target End
	// Recursive sends the datasets below too, each by itself. None may be a volume: see Volume.
	Recursive bool
	// Volume tells that the source is a zvol, which has no canmount that could be set.
	Volume bool
	// Raw sends what lies on the disk, so that an encrypted dataset stays so and the target needs no key. It has to stay as it is for as
	// long as the target lives: a stream of the one kind does not follow one of the other (S7).
	Raw  bool
	Base Base
	// SSHKey and KnownHosts are files: the key to log in with, and the keys of the hosts, without which none is trusted.
	// KnownHosts is that of the system where it is empty; a host that is in neither is refused.
	SSHKey, KnownHosts string
	// HostKeys are public keys of the other machine, "ssh-ed25519 AAAA…", that belong into KnownHosts: see KnownHostsText.
	HostKeys []string
	// Port of ssh; 0 is that of its configuration.
	Port int
	// Limit is the most that is sent a second, as mbuffer takes it: "10M"; empty for as much as there is.
	Limit string
	// Identifier tells the snapshots and holds of this replication from those of another of the same source; needed with SyncSnapshot.
	Identifier string
	// Override are further properties of what is received, beside canmount=noauto and readonly=on.
	Override map[string]string
}

// ReplicationError says what a replication cannot be.
type ReplicationError struct{ Name, Field, Reason, Advice string }

func (e *ReplicationError) Error() string {
	return fmt.Sprintf("replication %q: %s %s", e.Name, e.Field, e.Reason)
}

// Hint says what to write instead; it may be empty.
func (e *ReplicationError) Hint() string { return e.Advice }

// Validate says what syncoid, or a shell that it starts, would take for something else. The errors are *[ReplicationError], joined.
func (r *Replication) Validate() error {
	var errs []error
	fault := func(field, reason, advice string) {
		errs = append(errs, &ReplicationError{r.Name, field, reason, advice})
	}
	if strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/") != "" || !word(r.Name[:min(1, len(r.Name))], "") {
		fault("the name", "has something else than letters, digits, _, -, ., : and /", "")
	}
	for _, e := range []struct {
		field string
		end   End
	}{{"source", r.Source}, {"target", r.Target}} {
		if err := e.end.validate(); err != nil {
			var h interface{ Hint() string }
			advice := ""
			if errors.As(err, &h) {
				advice = h.Hint()
			}
			fault(e.field, "is none: "+err.Error(), advice)
		}
	}
	if _, err := dataset.ParseName(r.Target.Dataset); err == nil {
		if dataset.MustName(r.Target.Dataset).IsPool() {
			fault("target", "is a whole pool", "name a dataset that is not there yet, within one that is")
		}
		same := r.Source.Host == r.Target.Host
		if _, err := dataset.ParseName(r.Source.Dataset); err == nil && same && dataset.MustName(r.Source.Dataset).Pool() == dataset.MustName(r.Target.Dataset).Pool() {
			fault("target", "is on the pool of the source, and dies with it", "name another pool, or another machine")
		}
	}
	if r.Source.Host != "" && r.Target.Host != "" {
		fault("target", "and source are both elsewhere", "run it on one of the two")
	}
	for _, f := range []struct{ field, path string }{{"the ssh key", r.SSHKey}, {"the file of host keys", r.KnownHosts}} {
		if f.path != "" && (!strings.HasPrefix(f.path, "/") || strings.Trim(f.path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.+@=,") != "") {
			fault(f.field, fmt.Sprintf("is %q, which is no absolute path of letters, digits and /_-.+@=,", f.path), "syncoid hands it to a shell as it is")
		}
	}
	if r.Source.Host+r.Target.Host == "" && (r.SSHKey != "" || r.KnownHosts != "" || r.Port != 0) {
		fault("the ssh options", "are for another machine, and both ends are here", "")
	}
	for _, k := range r.HostKeys {
		if !hostKey(k) {
			fault("the host key", fmt.Sprintf("is %q, which is no public key", k), `write it as "ssh-ed25519 AAAA…", without the name of the host`)
		}
	}
	if len(r.HostKeys) > 0 && r.KnownHosts == "" {
		fault("the host keys", "have no file", "name the file of host keys")
	}
	if r.Port < 0 || r.Port > 65535 {
		fault("the port", fmt.Sprintf("is %d", r.Port), "")
	}
	if n := strings.TrimRight(r.Limit, "kKmMgG"); r.Limit != "" && (len(r.Limit)-len(n) > 1 || n == "" || strings.Trim(n, "0123456789") != "" || n[0] == '0') {
		fault("the limit", fmt.Sprintf("is %q, which is no number of bytes a second such as 10M", r.Limit), "")
	}
	if r.Identifier != "" && !word(r.Identifier, "_-.:") {
		fault("the identifier", fmt.Sprintf("is %q, which has something else than letters, digits, -, _, : and .", r.Identifier), "")
	}
	if r.Base < Bookmark || r.Base > SyncSnapshot {
		fault("the base", "is "+r.Base.String(), "")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Override)) {
		value := r.Override[name]
		switch {
		case name == "canmount" && value != "noauto" && value != "off", name == "readonly" && value != "on":
			fault(name, fmt.Sprintf("is %q, and what is received must neither be mounted nor changed", value), "")
		case name == "mountpoint" && strings.HasPrefix(value, "/") || strings.HasPrefix(name, "share"):
			fault(name, fmt.Sprintf("is %q, and what is received belongs to no place here", value), "")
		case !word(name, "_:-.") || value == "" || strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.:+@,%") != "":
			fault(fmt.Sprintf("the property %q", name), "is nothing that syncoid hands on as it is", "set it on the target by hand")
		}
	}
	return errors.Join(errs...)
}

// KnownHostsText is what belongs into the file of host keys; empty where none are named.
func (r *Replication) KnownHostsText() string {
	host := cmp.Or(r.Target.Host, r.Source.Host)
	if r.Port != 0 && r.Port != 22 {
		host = fmt.Sprintf("[%s]:%d", host, r.Port)
	}
	var b strings.Builder
	for _, k := range r.HostKeys {
		fmt.Fprintf(&b, "%s %s\n", host, k)
	}
	return b.String()
}

// hostKey tells a public key as ssh-keyscan prints it, without the name of the host: its kind, and base64.
func hostKey(text string) bool {
	words := strings.Fields(text)
	return (len(words) == 2 || len(words) == 3) && !strings.ContainsAny(text, "\n\r") && word(words[0], "-@.") && len(words[1]) > 20 && word(words[1], "+/=")
}

// options of zfs send and receive in syncoid's spelling: letters, with the word of an "o" behind it.
func (r *Replication) options() (send, receive string) {
	send = "Lce"
	if r.Raw {
		send = "w"
	}
	set := maps.Clone(r.Override)
	if set == nil {
		set = map[string]string{}
	}
	if !r.Volume {
		set["canmount"] = cmp.Or(set["canmount"], "noauto")
	}
	set["readonly"] = "on"
	words := []string{"u"}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		words = append(words, "o", name+"="+set[name])
	}
	return send, strings.Join(words, " ")
}

// flags are the arguments but for those that `services.syncoid` has options for.
func (r *Replication) flags() []string {
	// Without --no-rollback it is `zfs receive -F`. The stream is compressed as the blocks on the disk are.
	out := []string{"--quiet", "--no-rollback", "--compress=none"}
	switch r.Base {
	case Bookmark:
		out = append(out, "--no-sync-snap", "--create-bookmark")
	case SyncSnapshot:
		out = append(out, "--use-hold")
	}
	if r.Identifier != "" {
		out = append(out, "--identifier="+r.Identifier)
	}
	if r.Limit != "" {
		out = append(out, "--source-bwlimit="+r.Limit)
	}
	if r.Source.Host+r.Target.Host != "" {
		out = append(out, "--sshoption=BatchMode=yes", "--sshoption=StrictHostKeyChecking=yes")
		if r.KnownHosts != "" {
			out = append(out, "--sshoption=UserKnownHostsFile="+r.KnownHosts, "--sshoption=GlobalKnownHostsFile=/dev/null")
		}
		if r.Port != 0 {
			out = append(out, "--sshport="+strconv.Itoa(r.Port))
		}
	}
	return out
}

// Command is syncoid's argument vector, which begins with "syncoid". An interrupted transfer is resumed, which is what syncoid does
// unless it is told not to.
func (r *Replication) Command() ([]string, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	send, receive := r.options()
	out := append([]string{"syncoid", "--no-privilege-elevation"}, r.flags()...)
	if r.SSHKey != "" {
		out = append(out, "--sshkey="+r.SSHKey)
	}
	if r.Recursive {
		out = append(out, "--recursive")
	}
	return append(out, "--sendoptions="+send, "--recvoptions="+receive, r.Source.String(), r.Target.String()), nil
}

// UnitOptions say where things are, and when.
type UnitOptions struct {
	// Syncoid is the program, absolute; User runs it.
	Syncoid, User string
	// Path are the folders with zfs, zpool, ssh, mbuffer and pv: those of the PATH of the unit.
	Path []string
	// OnCalendar are calendar events, at least one; RandomizedDelay is a span of systemd.time(7), and may be empty.
	OnCalendar      []string
	RandomizedDelay string
	// Zones knows the time zones that OnCalendar may name.
	Zones stateward.Zones
}

// UnitName is that of the units, without ".service" and ".timer".
func (r *Replication) UnitName() string {
	return "stateward-syncoid-" + strings.NewReplacer("/", "-", ":", "-").Replace(r.Name)
}

// Units are the texts of the service and of its timer.
func (r *Replication) Units(o UnitOptions) (service, timer string, err error) {
	args, err := r.Command()
	if err != nil {
		return "", "", err
	}
	args[0] = o.Syncoid
	exec, err := unit.Exec(args...)
	if err != nil {
		return "", "", err
	}
	fault := func(field, reason string) (string, string, error) {
		return "", "", &ReplicationError{r.Name, field, reason, ""}
	}
	if !word(o.User, "_-.") {
		return fault("the user of the unit", fmt.Sprintf("is %q, which is no name", o.User))
	}
	if len(o.OnCalendar) == 0 {
		return fault("the timer", "has no calendar event")
	}
	for _, c := range o.OnCalendar {
		if _, err := backup.ParseCalendar(c, o.Zones); err != nil {
			return fault("the timer", err.Error())
		}
	}
	var options []unit.Option
	add := func(section, name, value string) {
		options = append(options, unit.Option{Section: section, Name: name, Value: value})
	}
	add("Unit", "Description", unit.Specifiers(fmt.Sprintf("Send snapshots of %s to %s", r.Source, r.Target)))
	add("Unit", "After", "zfs.target")
	if r.Source.Host+r.Target.Host != "" {
		add("Unit", "Wants", "network-online.target")
		add("Unit", "After", "network-online.target")
	}
	add("Service", "Type", "oneshot")
	add("Service", "ExecStart", exec)
	// A target that refuses what is sent may leave syncoid waiting for ever; what was sent until then is not sent again.
	add("Service", "TimeoutStartSec", "1d")
	add("Service", "User", o.User)
	if len(o.Path) > 0 {
		for _, p := range o.Path {
			if !strings.HasPrefix(p, "/") || strings.Contains(p, ":") {
				return fault("PATH", fmt.Sprintf("has %q, which is no absolute folder", p))
			}
		}
		add("Service", "Environment", unit.Words("PATH="+strings.Join(o.Path, ":")))
	}
	// syncoid puts the sockets of its connections into /tmp, by a name that can be guessed.
	for _, kv := range [][2]string{{"PrivateTmp", "true"}, {"NoNewPrivileges", "true"}, {"ProtectSystem", "strict"}, {"ProtectHome", "read-only"}, {"Nice", "10"}, {"IOSchedulingClass", "idle"}} {
		add("Service", kv[0], kv[1])
	}
	if service, err = unit.Write(options...); err != nil {
		return "", "", err
	}
	options = nil
	add("Unit", "Description", unit.Specifiers("When to send snapshots of "+r.Source.String()))
	for _, c := range o.OnCalendar {
		add("Timer", "OnCalendar", c)
	}
	if o.RandomizedDelay != "" {
		if _, err := stateward.ParseDuration(o.RandomizedDelay); err != nil {
			return fault("the timer", err.Error())
		}
		add("Timer", "RandomizedDelaySec", o.RandomizedDelay)
	}
	add("Timer", "Persistent", "true")
	add("Install", "WantedBy", "timers.target")
	timer, err = unit.Write(options...)
	return service, timer, err
}

// Nix is the value of `services.syncoid` of NixOS, indented by depth levels, as [NixSettings] has it.
func Nix(list []Replication, interval string, depth int, zones stateward.Zones) (string, error) {
	s, err := NixSettings(list, interval, zones)
	if err != nil {
		return "", err
	}
	return nix.Write(s, depth)
}

// NixSettings is the value of `services.syncoid` of NixOS for these replications, which that runs at the same interval as the user syncoid. What
// others put into commonArgs does not reach them. The files of keys have to be where that service sees them: in /etc, /run or the store.
func NixSettings(list []Replication, interval string, zones stateward.Zones) (nix.Settings, error) {
	if _, err := backup.ParseCalendar(interval, zones); err != nil {
		return nil, err
	}
	commands := nix.Settings{}
	seen := map[string]bool{}
	for _, r := range slices.SortedStableFunc(slices.Values(list), func(a, b Replication) int { return cmp.Compare(a.Name, b.Name) }) {
		if err := r.Validate(); err != nil {
			return nil, err
		}
		if seen[r.Name] {
			return nil, &ReplicationError{r.Name, "the name", "is there twice", ""}
		}
		seen[r.Name] = true
		send, receive := r.options()
		set := nix.Set{{Name: "source", Value: r.Source.String()}, {Name: "target", Value: r.Target.String()}, {Name: "recursive", Value: r.Recursive},
			{Name: "sendOptions", Value: send}, {Name: "recvOptions", Value: receive}}
		if r.SSHKey != "" {
			set = append(set, nix.Attr{Name: "sshKey", Value: r.SSHKey})
		}
		set = append(set, nix.Attr{Name: "useCommonArgs", Value: false}, nix.Attr{Name: "extraArgs", Value: words(r.flags())})
		source, target := r.permissions()
		if r.Source.Host == "" {
			set = append(set, nix.Attr{Name: "localSourceAllow", Value: words(names(source))})
		}
		if r.Target.Host == "" {
			set = append(set, nix.Attr{Name: "localTargetAllow", Value: words(names(target))})
		}
		commands = append(commands, nix.Attr{Name: r.Name, Value: set})
	}
	return nix.Settings{{Name: "enable", Value: true}, {Name: "interval", Value: interval}, {Name: "commands", Value: commands}}, nil
}

// Permission is one that zfs-allow(8) lists, and what it is needed for.
type Permission struct{ Name, Why string }

// Allow gives a user permissions on a dataset and all below.
type Allow struct {
	// Host is where it is to be done; empty for this machine.
	Host string
	User string
	// Dataset has to be there: for a target it is the one above, as the target comes into being by the first transfer.
	Dataset     string
	Permissions []Permission
}

func names(list []Permission) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Name)
	}
	return out
}

// Command is the argument vector, which begins with "zfs".
func (a Allow) Command() []string {
	return []string{"zfs", "allow", "-u", a.User, strings.Join(names(a.Permissions), ","), a.Dataset}
}

// permissions are those of both ends (S5).
func (r *Replication) permissions() (source, target []Permission) {
	source = []Permission{{"hold", "zfs send holds the snapshots between two that it sends"}, {"send", "to send"}}
	target = []Permission{{"create", "the first transfer makes the dataset"}, {"mount", "create and receive ask for it, though nothing is mounted"}, {"receive", "to receive"}}
	for _, name := range slices.Sorted(maps.Keys(r.Override)) {
		if name == "canmount" || name == "readonly" {
			continue
		}
		if strings.Contains(name, ":") {
			name = "userprop"
		}
		target = append(target, Permission{name, "to set what is overridden"})
	}
	if !r.Volume {
		target = append(target, Permission{"canmount", "to keep it from being mounted at boot"})
	}
	target = append(target, Permission{"readonly", "to keep it from being changed"})
	switch r.Base {
	case Bookmark:
		source = append(source, Permission{"bookmark", "to bookmark what was sent"})
	case SyncSnapshot:
		source = append(source, Permission{"snapshot", "to take the snapshot that is sent"}, Permission{"destroy", "to remove the one before"}, Permission{"mount", "destroy asks for it"}, Permission{"release", "to let go of the one before"})
		target = append(target, Permission{"hold", "to hold what was sent"}, Permission{"release", "to let go of the one before"}, Permission{"destroy", "to remove the one before"})
	}
	order := func(list []Permission) []Permission {
		slices.SortStableFunc(list, func(a, b Permission) int { return cmp.Compare(a.Name, b.Name) })
		return slices.CompactFunc(list, func(a, b Permission) bool { return a.Name == b.Name })
	}
	return order(source), order(target)
}

// Allows are what must be allowed on both ends, where user runs syncoid on this machine; on another it is the one that logs in. Root
// needs none.
func (r *Replication) Allows(user string) ([]Allow, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if !word(user, "_-.") {
		return nil, &ReplicationError{r.Name, "the user", fmt.Sprintf("is %q, which is no name", user), ""}
	}
	source, target := r.permissions()
	out := []Allow{
		{r.Source.Host, cmp.Or(r.Source.User, user), r.Source.Dataset, source},
		{r.Target.Host, cmp.Or(r.Target.User, user), dataset.MustName(r.Target.Dataset).Parent().String(), target},
	}
	return slices.DeleteFunc(out, func(a Allow) bool { return a.User == "root" }), nil
}
