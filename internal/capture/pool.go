package capture

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/run"
)

// PoolOptions say what [Pool] looks at. The zero value looks at all pools, and at the mountpoints of all datasets.
type PoolOptions struct {
	// Pools are those to look at; nil means all that are imported.
	Pools []string
	// Desired is what is to be planned with what is seen: its mountpoints and the directories above them are looked at, and
	// its owners are looked up with getent(1) where /etc/passwd and /etc/group do not have them.
	Desired dataset.Desired
	// Mountpoints are further paths to look at, absolute.
	Mountpoints []string
	// Timeout is how long one process of zfs may take; 0 means [DefaultTimeout].
	Timeout time.Duration
	// NoSnapshots leaves snapshots, bookmarks and holds out, which plans of datasets do not look at: there may be a hundred thousand.
	NoSnapshots bool
	// NoJSON does not ask zfs for JSON where what it prints as text is ambiguous.
	NoJSON bool
	// Env is the environment of the processes; nil means the PATH of this one and the folders where zfs usually is.
	Env []string
	// Accounts and GroupFile are files of passwd(5) and group(5) format; empty means those in /etc.
	Accounts, GroupFile string
	// Mountinfo is the file to read; empty means /proc/self/mountinfo.
	Mountinfo string
}

const (
	// DefaultTimeout of a process: listing a hundred thousand snapshots from cold disks takes minutes.
	DefaultTimeout = 5 * time.Minute
	// maxZFSOutput bounds what one process may print: some 100 000 datasets.
	maxZFSOutput = 1 << 30
	// maxHoldArgs and maxHoldBytes bound the arguments of one `zfs holds`.
	maxHoldArgs, maxHoldBytes = 1000, 96 << 10
)

// ZFSFault is why zfs or zpool could not tell.
type ZFSFault string

// The faults.
const (
	ZFSNotInstalled ZFSFault = "not installed"
	ZFSNotLoaded    ZFSFault = "module not loaded"
	ZFSDenied       ZFSFault = "permission denied"
	ZFSTimeout      ZFSFault = "timed out"
	ZFSNoPool       ZFSFault = "no such pool"
	ZFSFailed       ZFSFault = "failed"
)

// ZFSError says why zfs or zpool could not tell.
type ZFSError struct {
	Fault ZFSFault
	// Command is the program and what it was to do: "zfs get".
	Command string
	// Text is what it said, in one line; the name of the pool where that is missing.
	Text string
	Err  error
}

func (e *ZFSError) Error() string {
	switch e.Fault {
	case ZFSNotInstalled:
		return "zfs is not installed: " + e.Err.Error()
	case ZFSNotLoaded:
		return "the zfs module is not loaded: " + e.Text
	case ZFSDenied:
		return "zfs may not be used: " + e.Text
	case ZFSTimeout:
		return e.Command + " does not answer: " + e.Err.Error()
	case ZFSNoPool:
		return fmt.Sprintf("pool %q is not imported", e.Text)
	}
	if e.Text == "" {
		return e.Command + ": " + e.Err.Error()
	}
	return e.Command + ": " + e.Text
}

func (e *ZFSError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *ZFSError) Hint() string {
	switch e.Fault {
	case ZFSNotInstalled:
		return "run it on the host that has the pools, and with its zfs on PATH"
	case ZFSNotLoaded:
		return "modprobe zfs"
	case ZFSDenied:
		return "run it as root"
	case ZFSTimeout:
		return "a pool may be suspended: zpool status -x; give it more time with --zfs-timeout"
	case ZFSNoPool:
		return "zpool import lists what could be imported"
	}
	return ""
}

// poolReader runs the programs.
type poolReader struct {
	o PoolOptions
}

// Pool looks at the pools of this machine: properties, snapshots, bookmarks, holds, mounts and mountpoints. It changes nothing, and runs
// a number of processes that does not depend on how many datasets there are (one more for every thousand snapshots that are held). Where no pool is imported Pools is empty and not nil.
// The error is a *[ZFSError], an *[AmbiguousError], a *[PlaceError], or says what was not understood.
func Pool(ctx context.Context, o PoolOptions) (*dataset.Observed, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Env == nil {
		// Where nobody but root has sbin on PATH, the programs are there all the same.
		o.Env = []string{"PATH=" + os.Getenv("PATH") + ":/run/current-system/sw/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	}
	o.Accounts, o.GroupFile = cmp.Or(o.Accounts, "/etc/passwd"), cmp.Or(o.GroupFile, "/etc/group")
	o.Mountinfo = cmp.Or(o.Mountinfo, "/proc/self/mountinfo")
	for _, p := range o.Mountpoints {
		if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
			return nil, &PlaceError{p}
		}
	}
	r := &poolReader{o}
	// What the processes see may change between them: then all is read anew.
	for try := 0; ; try++ {
		got, err := r.observe(ctx)
		var changed *changedError
		if errors.As(err, &changed) && try < 2 && ctx.Err() == nil {
			continue
		}
		if changed != nil && changed.or != nil && ctx.Err() == nil {
			err = changed.or
		}
		return got, err
	}
}

// PlaceError is a path that cannot be looked at.
type PlaceError struct{ Path string }

func (e *PlaceError) Error() string { return fmt.Sprintf("mountpoint %q is no absolute path", e.Path) }

// Hint says what to do.
func (e *PlaceError) Hint() string { return "write it from the root on: /srv/data" }

func (r *poolReader) observe(ctx context.Context) (*dataset.Observed, error) {
	out, err := r.run(ctx, "zfs", "version")
	if err != nil {
		return nil, err
	}
	o := &dataset.Observed{Pools: []dataset.Pool{}, Datasets: []dataset.State{}, Snapshots: []dataset.SnapshotState{}, Bookmarks: []dataset.SnapshotState{}}
	var prints bool
	o.ZFS, prints = parseVersion(out)
	o.Module = moduleVersion(out)
	names, err := r.pools(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		if err := r.datasets(ctx, o, names, prints && !r.o.NoJSON); err != nil {
			return nil, err
		}
		if err := r.quotas(ctx, o); err != nil {
			return nil, err
		}
		if !r.o.NoSnapshots {
			if err := r.snapshots(ctx, o, names); err != nil {
				return nil, err
			}
		}
	}
	if err := r.places(ctx, o); err != nil {
		return nil, err
	}
	inText(o)
	return o, nil
}

// pools returns the names of those whose datasets can be read.
func (r *poolReader) pools(ctx context.Context, o *dataset.Observed) ([]string, error) {
	out, err := r.run(ctx, "zpool", "list", "-Hp", "-o", "name,guid,health,readonly,ashift,size,free,altroot")
	if err != nil {
		return nil, err
	}
	all, err := parsePools(out)
	if err != nil {
		return nil, err
	}
	for _, name := range r.o.Pools {
		if !slices.ContainsFunc(all, func(p dataset.Pool) bool { return p.Name == name }) {
			return nil, &ZFSError{Fault: ZFSNoPool, Command: "zpool list", Text: name}
		}
	}
	for _, p := range all {
		if r.o.Pools == nil || slices.Contains(r.o.Pools, p.Name) {
			o.Pools = append(o.Pools, p)
		} else {
			o.LeftOut = append(o.LeftOut, p.Name)
		}
	}
	slices.Sort(o.LeftOut)
	slices.SortFunc(o.Pools, func(a, b dataset.Pool) int { return strings.Compare(a.Name, b.Name) })
	var names []string
	for i := range o.Pools {
		switch p := &o.Pools[i]; p.Health {
		case "SUSPENDED", "FAULTED", "UNAVAIL":
			p.Unread = "the pool is " + p.Health
		default:
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	out, err = r.run(ctx, "zpool", append([]string{"get", "-Hp", "-o", "name,property,value", "all"}, names...)...)
	if err != nil {
		return nil, err
	}
	if err := parseFeatures(out, o.Pools); err != nil {
		return nil, err
	}
	for i := range o.Pools {
		p := &o.Pools[i]
		slices.Sort(p.Features)
		if p.Ashift != 0 || p.Unread != "" {
			continue
		}
		// It was not given when the pool was made, and each device has its own; zfs tells since 2.2.
		out, err := r.run(ctx, "zpool", "get", "-Hp", "-o", "name,property,value", "ashift", p.Name, "all-vdevs")
		if err == nil {
			p.Ashift = parseVdevAshift(out)
		} else if ze := (*ZFSError)(nil); !errors.As(err, &ze) || ze.Fault != ZFSFailed {
			return nil, err
		}
	}
	return names, nil
}

func (r *poolReader) datasets(ctx context.Context, o *dataset.Observed, pools []string, json bool) error {
	get := func(properties string, more ...string) ([]byte, error) {
		args := append([]string{"get", "-p", "-r", "-t", "filesystem,volume"}, more...)
		return r.run(ctx, "zfs", append(append(args, properties), pools...)...)
	}
	got := newReadings()
	out, err := get("all", "-H", "-o", "name,property")
	if err != nil {
		return err
	}
	if err := got.headers(out); err != nil {
		return err
	}
	if out, err = get("all", "-H", "-o", readingColumns); err != nil {
		return err
	}
	err = got.all(out, nil)
	var ambiguous *AmbiguousError
	var changed *changedError
	if json && (errors.As(err, &ambiguous) || errors.As(err, &changed) && changed.or != nil) {
		said, failed := get("all", "-j")
		if hints := parseJSON(said); failed == nil && hints != nil {
			err = got.all(out, hints)
		}
	}
	if err != nil {
		return err
	}
	if local := got.local(); len(local) > 0 {
		if out, err = get(strings.Join(local, ","), "-H", "-o", "name,property,received"); err != nil {
			return err
		}
		if err := got.received(out, local); err != nil {
			return err
		}
	}
	if o.Datasets, err = got.states(); err != nil {
		return err
	}
	slices.SortFunc(o.Datasets, func(a, b dataset.State) int { return dataset.CompareName(a.Name, b.Name) })
	return nil
}

// quotas adds those of users, groups and projects that are desired: `zfs get all` does not list them, and what `zfs userspace` lists has no
// bound. A value of "-" is one that zfs does not tell.
func (r *poolReader) quotas(ctx context.Context, o *dataset.Observed) error {
	asked, on := map[string]int{}, map[string]int{}
	for i := range r.o.Desired.Datasets {
		w := &r.o.Desired.Datasets[i]
		state, there := o.Dataset(w.Name)
		if !there || state.Type != dataset.Filesystem {
			continue
		}
		for _, s := range w.Settings {
			if _, _, ok := dataset.QuotaOf(s.Name()); ok {
				asked[s.Name()], on[w.Name.String()] = 1, 1
			}
		}
	}
	for _, properties := range batches(asked) {
		for _, names := range batches(on) {
			out, err := r.run(ctx, "zfs", append([]string{"get", "-Hp", "-o", "name,property,value", strings.Join(properties, ",")}, names...)...)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(out)) {
				fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
				if len(fields) != 3 || asked[fields[1]] == 0 || on[fields[0]] == 0 {
					return &malformedError{"zfs get", line}
				}
				n, err := dataset.ParseObservedName(fields[0])
				if err != nil {
					return &malformedError{"zfs get", line}
				}
				if state, there := o.Dataset(n); there {
					source := dataset.Local
					if fields[2] == "-" {
						source = dataset.None
					}
					state.Properties[fields[1]] = dataset.PropertyState{Value: fields[2], Source: source}
				}
			}
		}
	}
	return nil
}

func (r *poolReader) snapshots(ctx context.Context, o *dataset.Observed, pools []string) error {
	out, err := r.run(ctx, "zfs", append([]string{"list", "-Hp", "-r", "-t", "snapshot,bookmark", "-o", snapshotColumns}, pools...)...)
	if err != nil {
		return err
	}
	snapshots, bookmarks, held, err := parseSnapshots(out)
	if err != nil {
		return err
	}
	for _, list := range [][]dataset.SnapshotState{snapshots, bookmarks} {
		for i := range list {
			if _, ok := o.Dataset(list[i].Dataset); !ok {
				return &changedError{what: "dataset " + list[i].Dataset.String()}
			}
		}
	}
	tags := map[string][]string{}
	for _, batch := range batches(held) {
		out, err := r.run(ctx, "zfs", append([]string{"holds", "-H"}, batch...)...)
		if err != nil {
			return err
		}
		if err := parseHolds(out, held, tags); err != nil {
			return err
		}
	}
	for name, n := range held {
		if len(tags[name]) != n {
			return &changedError{"the holds of " + name, &AmbiguousError{Dataset: name}}
		}
	}
	for i := range snapshots {
		s := &snapshots[i]
		if holds := tags[s.Dataset.String()+"@"+s.Name]; holds != nil {
			slices.Sort(holds)
			s.Holds = holds
		}
		slices.SortFunc(s.Clones, dataset.CompareName)
	}
	o.Snapshots, o.Bookmarks = byCreation(snapshots), byCreation(bookmarks)
	return nil
}

// byCreation sorts by pool, and within one by the transaction that made it: times may go backwards.
func byCreation(s []dataset.SnapshotState) []dataset.SnapshotState {
	slices.SortFunc(s, compareSnapshots)
	return append([]dataset.SnapshotState{}, s...)
}

func compareSnapshots(a, b dataset.SnapshotState) int {
	return cmp.Or(strings.Compare(a.Dataset.Pool(), b.Dataset.Pool()), cmp.Compare(a.CreateTXG, b.CreateTXG), dataset.CompareName(a.Dataset, b.Dataset), strings.Compare(a.Name, b.Name))
}

// batches are the names in portions that fit on a command line.
func batches(held map[string]int) [][]string {
	names := make([]string, 0, len(held))
	for n := range held {
		names = append(names, n)
	}
	slices.Sort(names)
	var out [][]string
	size := 0
	for _, n := range names {
		if len(out) == 0 || len(out[len(out)-1]) >= maxHoldArgs || size+len(n) > maxHoldBytes {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], n)
		size += len(n) + 1
	}
	return out
}

// run runs zfs or zpool, and gives up in time even where the kernel does not let go of the process.
func (r *poolReader) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.Timeout, fmt.Errorf("no answer within %s", r.o.Timeout))
	defer cancel()
	type answer struct {
		run.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		res, err := run.Run(ctx, run.Cmd{Path: program, Args: args, Env: r.o.Env, MaxStdout: maxZFSOutput})
		done <- answer{res, err}
	}()
	command := program + " " + args[0]
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		select {
		case a = <-done:
		case <-time.After(time.Second):
			// A process that waits for a suspended pool cannot be killed.
			a.err = context.Cause(ctx)
		}
	}
	if a.err == nil {
		return a.Stdout, nil
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	e := &ZFSError{Fault: ZFSFailed, Command: command, Text: oneLine(a.Stderr), Err: a.err}
	var missing *run.NotFoundError
	switch {
	case ctx.Err() != nil:
		e.Fault, e.Err = ZFSTimeout, context.Cause(ctx)
	case errors.As(a.err, &missing):
		e.Fault = ZFSNotInstalled
	// libzfs_error_init of libzfs_util_os.c.
	case bytes.Contains(a.Stderr, []byte("Permission denied the ZFS utilities")):
		e.Fault = ZFSDenied
	case bytes.Contains(a.Stderr, []byte("The ZFS modules")), bytes.Contains(a.Stderr, []byte("/dev/zfs and /proc/self/mounts are required")):
		e.Fault = ZFSNotLoaded
	case bytes.Contains(a.Stderr, []byte("dataset does not exist")), bytes.Contains(a.Stderr, []byte("no such pool")), bytes.Contains(a.Stderr, []byte("no such dataset")):
		return nil, &changedError{what: "what " + command + " was asked for"}
	}
	return nil, e
}

// oneLine is the beginning of what a program said.
func oneLine(b []byte) string {
	const most = 400
	s := strings.Join(strings.Fields(inUTF8(string(b))), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// places looks at what is mounted, and at the mountpoints.
func (r *poolReader) places(ctx context.Context, o *dataset.Observed) error {
	data, err := os.ReadFile(r.o.Mountinfo)
	if err != nil {
		return fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	mounts, err := parseMountinfo(data)
	if err != nil {
		return err
	}
	o.Mounts = make([]dataset.Mount, len(mounts))
	for i := range mounts {
		o.Mounts[i] = mounts[i].Mount
	}
	users, groups := readNames(r.o.Accounts), readNames(r.o.GroupFile)
	var owners, owning []string
	for i := range r.o.Desired.Datasets {
		w := &r.o.Desired.Datasets[i]
		owners, owning = append(owners, w.Owner.String()), append(owning, w.Group.String())
		for _, s := range w.Settings {
			switch of, who, _ := dataset.QuotaOf(s.Name()); of {
			case "user":
				owners = append(owners, who)
			case "group":
				owning = append(owning, who)
			}
		}
	}
	o.Users, o.UserIDs = r.known(ctx, r.o.Accounts, "passwd", owners)
	o.Groups, o.GroupIDs = r.known(ctx, r.o.GroupFile, "group", owning)
	var paths []string
	for _, p := range dataset.Places(r.o.Desired, o) {
		paths = append(paths, p.String())
	}
	for _, p := range r.o.Mountpoints {
		paths = append(paths, path.Clean(p))
	}
	for i := range o.Datasets {
		if p := o.Datasets[i].Properties["mountpoint"].Value; o.Datasets[i].Type == dataset.Filesystem && path.IsAbs(p) {
			paths = append(paths, path.Clean(p))
		}
	}
	slices.Sort(paths)
	o.Places = []dataset.Place{}
	look := newLooker(mounts)
	for _, p := range slices.Compact(paths) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		place := dataset.Place{Path: p, Kind: "unknown", Problem: unanswering(o, p)}
		if place.Problem == "" {
			place = look.at(p)
		}
		if place.Kind != "absent" && place.Mode != "" {
			place.User, place.Group = users[uint32(place.UID)], groups[uint32(place.GID)]
		}
		o.Places = append(o.Places, place)
	}
	return nil
}

// unanswering says why a path must not be looked at: what lies on a pool that is suspended makes whoever asks wait for ever.
// It is empty where nothing keeps from that.
func unanswering(o *dataset.Observed, path string) string {
	var on *dataset.Mount
	for i := range o.Mounts {
		m := &o.Mounts[i]
		if !m.Hidden && (on == nil || len(m.At) >= len(on.At)) && (m.At == path || m.At == "/" || strings.HasPrefix(path, m.At+"/")) {
			on = m
		}
	}
	if on == nil || on.FSType != "zfs" {
		return ""
	}
	name, _, _ := strings.Cut(on.Source, "/")
	if pool, ok := o.Pool(name); ok && pool.Unread != "" {
		return "it lies on pool " + name + ", which was not read: " + pool.Unread
	}
	return ""
}

// known are the names in a file, and those of more that only getent knows, with their numbers.
// One of digits alone may be an id, and is looked up all the same.
func (r *poolReader) known(ctx context.Context, file, database string, more []string) (names []string, ids map[string]uint32) {
	out := map[string]account{}
	if data, err := os.ReadFile(file); err == nil {
		accountNames(data, out)
	}
	var ask []string
	for _, name := range more {
		if !out[name].is && name != "" && !strings.HasPrefix(name, "-") && !strings.ContainsAny(name, ":\n\x00") {
			ask = append(ask, name)
		}
	}
	slices.Sort(ask)
	if ask = slices.Compact(ask); len(ask) > 0 {
		ctx, cancel := context.WithTimeout(ctx, min(r.o.Timeout, 10*time.Second))
		defer cancel()
		// It exits with 2 where it does not know one of them, and prints the others.
		res, _ := run.Run(ctx, run.Cmd{Path: "getent", Args: append([]string{database}, ask...), Env: r.o.Env})
		found := map[string]account{}
		accountNames(res.Stdout, found)
		for _, name := range ask {
			out[name] = found[name]
		}
	}
	names, ids = []string{}, map[string]uint32{}
	for name, a := range out {
		if a.is {
			names = append(names, name)
		}
		if a.hasID {
			ids[name] = a.id
		}
	}
	slices.Sort(names)
	return names, ids
}

// account is a user or a group; hasID is false where its number is none that can be read.
type account struct {
	is, hasID bool
	id        uint32
}

// accountNames reads the format of passwd(5) and group(5).
func accountNames(data []byte, into map[string]account) {
	for line := range strings.Lines(string(data)) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok || name == "" || !utf8.ValidString(name) || strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") || into[name].is {
			continue // of one name the first line counts
		}
		_, rest, _ = strings.Cut(rest, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(rest), ":")
		id, err := strconv.ParseUint(number, 10, 32)
		into[strings.Clone(name)] = account{true, err == nil, uint32(id)}
	}
}

// inText makes every text one that JSON can hold.
func inText(o *dataset.Observed) {
	for i := range o.Datasets {
		for name, p := range o.Datasets[i].Properties {
			if v, r := inUTF8(p.Value), inUTF8(p.Received); v != p.Value || r != p.Received {
				p.Value, p.Received = v, r
				o.Datasets[i].Properties[name] = p
			}
		}
	}
	for i := range o.Pools {
		o.Pools[i].AltRoot = inUTF8(o.Pools[i].AltRoot)
	}
	for i := range o.Snapshots {
		for j, h := range o.Snapshots[i].Holds {
			o.Snapshots[i].Holds[j] = inUTF8(h)
		}
	}
	for i := range o.Mounts {
		m := &o.Mounts[i]
		m.At, m.Source, m.Root, m.FSType = inUTF8(m.At), inUTF8(m.Source), inUTF8(m.Root), inUTF8(m.FSType)
	}
	for i := range o.Places {
		o.Places[i].Path, o.Places[i].MountedFrom = inUTF8(o.Places[i].Path), inUTF8(o.Places[i].MountedFrom)
	}
	// In the order of the texts, which need not be that of the bytes.
	slices.SortStableFunc(o.Places, func(a, b dataset.Place) int { return strings.Compare(a.Path, b.Path) })
	o.Places = slices.CompactFunc(o.Places, func(a, b dataset.Place) bool { return a.Path == b.Path })
}
