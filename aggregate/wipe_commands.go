package aggregate

import (
	"path"
	"slices"
	"strings"
)

// verb reads programs whose first argument that is no option says what they do.
func (r *wipeReader) verb(name string, args []word) {
	rest := operands(args[1:])
	switch {
	case len(rest) == 0:
		if name == "cryptsetup" || slices.ContainsFunc(args[1:], func(a word) bool { return !a.literal }) {
			r.unreadProgram(name + " with a command that only the script knows")
		}
	case name == "zpool" && slices.ContainsFunc(args, func(a word) bool { return a.text == "--rewind-to-checkpoint" }):
		r.hide("zpool import --rewind-to-checkpoint")
	case rest[0].literal && verbs[name][rest[0].text]:
	case !rest[0].literal:
		if !r.stock {
			r.unreadProgram(name + " with a command that only the script knows")
		}
	case name == "bcachefs" && rest[0].text == "format", name == "cryptsetup":
		r.format(args)
	default:
		r.hide(name + " " + rest[0].text)
	}
}

func operands(args []word) []word {
	var out []word
	for _, a := range args {
		if !strings.HasPrefix(a.text, "-") {
			out = append(out, a)
		}
	}
	return out
}

func formats(program string) bool {
	return program == "mkfs" || program == "mke2fs" || program == "blkdiscard" || program == "wipefs" || program == "shred" || strings.HasPrefix(program, "mkfs.")
}

// erases tells whether an option makes wipefs(8) do more than list.
func erases(a word) bool {
	short := strings.HasPrefix(a.text, "-") && !strings.HasPrefix(a.text, "--") && strings.ContainsAny(a.text, "ao")
	return short || !a.literal && a.head == "" || strings.HasPrefix(a.text, "--all") || strings.HasPrefix(a.text, "--offset")
}

// zfs reads what throws a dataset's content away: a rollback, and the other ways
// to put a blank dataset in a name's place.
func (r *wipeReader) zfs(args []word) {
	if len(args) < 2 {
		return
	}
	verb := args[1].text
	target, least := len(args)-1, 2
	switch {
	case !args[1].literal:
		r.unreadProgram("zfs with a command that only the script knows")
		return
	case slices.Contains([]string{"rollback", "destroy", "clone", "receive", "recv"}, verb):
	case verb == "rename":
		target, least = target-1, 2
	case verbs["zfs"][verb] || strings.HasPrefix(verb, "-"):
		return
	default:
		r.hide("zfs " + verb)
		return
	}
	flags := func(letters string) bool {
		return slices.ContainsFunc(args[2:], func(a word) bool {
			return strings.HasPrefix(a.text, "-") && !strings.HasPrefix(a.text, "--") && strings.ContainsAny(a.text[1:], letters)
		})
	}
	if target >= least && (verb == "receive" || verb == "recv") && flags("de") {
		r.hide("zfs " + verb + " of what only the stream knows")
		return
	}
	if target < least || !args[target].literal || args[target].text == "" || strings.HasPrefix(args[target].text, "-") || args[target].text[0] == '@' {
		r.hide("zfs " + verb + " of something that only the script knows")
		return
	}
	dataset, _, snapshot := strings.Cut(args[target].text, "@")
	if snapshot && (verb == "destroy" || verb == "rename" || verb == "clone") || strings.Contains(dataset, "#") {
		return // of a snapshot, not the dataset
	}
	r.dataset(dataset, verb == "rename" || verb == "destroy" && flags("rR"))
}

// memoryDevices are no disks: what is written there is not what a root is made of.
var memoryDevices = []string{
	"null", "zero", "full", "random", "urandom", "std", "tty", "console", "kmsg", "fd/", "shm/", "pts/", "ptmx", "hvc", "vcs", "watchdog", "tpm", "rtc", "tcp/", "udp/", "input/", "fb",
	"mqueue", "hugepages", "net/", "fuse", "loop-control", "mapper/control", "kvm",
}

// disk tells whether a path may be one of a disk.
func disk(p string) bool {
	name, ok := strings.CutPrefix(p, "/dev/")
	return ok && !slices.ContainsFunc(memoryDevices, func(d string) bool { return strings.HasPrefix(name, d) })
}

// overwrite reads what is written to: a disk whose content is replaced is gone.
func (r *wipeReader) overwrite(by string, to word) {
	switch {
	case to.literal && disk(to.text):
		r.device(to.text)
	case !to.literal && strings.HasPrefix(to.head, "/dev/") && disk(to.head+"?"), !to.literal && to.head == "" && by == "dd":
		r.hide(by + " to a device that only the script knows")
	}
}

func (r *wipeReader) format(args []word) {
	for _, a := range slices.Backward(args[1:]) {
		if disk(a.text) && a.literal {
			r.device(a.text)
			return
		}
	}
	r.hide(path.Base(args[0].text) + " of a device that only the script knows")
}

// ownTrees are those that the initial ramdisk keeps in memory.
var ownTrees = []string{"/tmp/", "/run/", "/etc/", "/dev/", "/root/", "/crypt-ramfs/", "/crypt-storage/"}

// lasting tells whether a tree may be one on a disk.
func (r *wipeReader) lasting(a word) bool {
	known := a.text
	if !a.literal {
		known = a.head
	}
	for _, m := range r.mounts {
		if m.dir == "" || known == m.dir || strings.HasPrefix(known, m.dir+"/") {
			return true
		}
	}
	return !slices.ContainsFunc(ownTrees, func(t string) bool { return strings.HasPrefix(known, t) }) || strings.Contains(a.text, "..")
}

// remove reads what deletes trees. Where they are mounted later is not followed.
func (r *wipeReader) remove(name string, args []word) {
	var operands []word
	deletes := false
	for i, a := range args[1:] {
		switch {
		case !strings.HasPrefix(a.text, "-") || a.text == "":
			operands = append(operands, a)
		case name == "find" && slices.Contains([]string{"-exec", "-execdir", "-ok", "-okdir"}, a.text):
			r.found(args[i+2:])
		case name == "find":
			deletes = deletes || a.text == "-delete"
		default:
			deletes = deletes || a.text == "--recursive" || !strings.HasPrefix(a.text, "--") && strings.ContainsAny(a.text, "rR")
		}
	}
	if name == "find" && len(operands) > 1 {
		operands = operands[:1] // the others are arguments of its tests
	}
	if name == "find" && deletes && len(operands) == 0 {
		operands = []word{{}}
	}
	if deletes && slices.ContainsFunc(operands, r.lasting) {
		r.hide(name + " of a tree that may be mounted later")
	}
}

// found reads the command that find(1) runs.
func (r *wipeReader) found(args []word) {
	var command []word
	for _, a := range args {
		if a.text == ";" || a.text == "+" {
			break
		}
		if strings.Contains(a.text, "{}") {
			a = word{}
		}
		command = append(command, a)
	}
	if len(command) > 0 {
		r.call(command)
	}
}

// move reads what is moved away: of a Btrfs file system that the script mounted
// that is a subvolume.
func (r *wipeReader) move(args []word) {
	from := operands(args[1:])
	if len(from) < 2 {
		return
	}
	last := from[len(from)-1]
	r.overwrite("mv", last)
	for _, a := range from[:len(from)-1] {
		switch {
		case !r.lasting(a):
		case a.literal && r.mounted(a.text):
			r.anew(r.subvolume(a.text))
		default:
			r.hide("mv of a tree that may be mounted later")
		}
	}
}

func (r *wipeReader) mounted(p string) bool {
	return slices.ContainsFunc(r.mounts, func(m tempMount) bool { return m.dir != "" && strings.HasPrefix(p, m.dir+"/") })
}

// rootMounts are where the initial ramdisk puts the root file system together.
var rootMounts = []string{"/mnt-root", "/sysroot"}

func (r *wipeReader) mount(args []word) {
	dir := args[len(args)-1]
	if len(args) < 3 {
		return
	}
	r.mountOverRoot(args, dir)
	if !dir.literal {
		return
	}
	m := tempMount{dir: strings.TrimRight(dir.text, "/")}
	for _, a := range args[1:] {
		if name, ok := subvolumeOption(a.text); ok && a.literal {
			m.subvolume = name
		}
	}
	r.mounts = append(r.mounts, m)
}

// mountOverRoot reads what a script itself mounts in the root's place.
func (r *wipeReader) mountOverRoot(args []word, dir word) {
	at := strings.TrimRight(dir.text, "/")
	under := slices.ContainsFunc(rootMounts, func(m string) bool { return at == m || strings.HasPrefix(at, m+"/") })
	remounts, inMemory := false, false
	for _, a := range args[1:] {
		remounts = remounts || strings.Contains(a.text, "remount")
		inMemory = inMemory || slices.Contains(append([]string{"overlay", "-ttmpfs", "-toverlay"}, volatileTypes...), a.text)
	}
	if r.stock || remounts || !under {
		return
	}
	if slices.Contains(rootMounts, at) || inMemory && !slices.ContainsFunc([]string{"/tmp", "/run", "/dev", "/proc", "/sys"}, func(d string) bool {
		return slices.ContainsFunc(rootMounts, func(m string) bool { return at == m+d || strings.HasPrefix(at, m+d+"/") })
	}) {
		r.hide("mount at " + at)
	}
}

// subvolumeOption returns the subvolume that mount options name.
func subvolumeOption(options string) (name string, ok bool) {
	for o := range strings.SplitSeq(options, ",") {
		if n, found := strings.CutPrefix(strings.TrimSpace(o), "subvol="); found {
			name, ok = strings.Trim(n, "/"), true
		}
	}
	return name, ok
}

// btrfs reads `btrfs subvolume create DIR` and `btrfs subvolume snapshot [-r] FROM DIR`, and their
// abbreviations: what is made anew in the initial ramdisk does not keep its content.
func (r *wipeReader) btrfs(args []word) {
	rest := btrfsOperands(args[1:])
	if len(rest) == 0 {
		return
	}
	abbreviates := func(a word, verb string, least int) bool {
		return a.literal && len(a.text) >= least && strings.HasPrefix(verb, a.text)
	}
	group := rest[0]
	switch {
	case abbreviates(group, "subvolume", 2):
	case group.literal && len(group.text) > 1 && slices.ContainsFunc(slices.Collect(btrfsGroups), func(g string) bool { return strings.HasPrefix(g, group.text) }):
		return
	default:
		r.hide("btrfs " + shownVerb(group))
		return
	}
	rest = btrfsOperands(rest[1:])
	if len(rest) == 0 {
		return
	}
	verb := rest[0]
	switch {
	case abbreviates(verb, "list", 1), abbreviates(verb, "show", 2), abbreviates(verb, "sync", 2), abbreviates(verb, "get-default", 1), abbreviates(verb, "find-new", 1):
		return
	case abbreviates(verb, "snapshot", 2) && slices.ContainsFunc(rest[1:], func(a word) bool { return a.text == "-r" }):
		return
	case abbreviates(verb, "create", 1), abbreviates(verb, "snapshot", 2), abbreviates(verb, "delete", 1):
	default:
		r.hide("btrfs subvolume " + shownVerb(verb))
		return
	}
	places := operands(rest[1:])
	if abbreviates(verb, "snapshot", 2) && len(places) > 0 {
		places = places[len(places)-1:]
	}
	for _, p := range places {
		if abbreviates(verb, "delete", 1) && !p.literal {
			r.leftovers = true
		} else if !p.literal {
			r.hide("btrfs subvolume " + verb.text + " at a place that only the script knows")
		} else {
			r.anew(r.subvolume(p.text))
		}
	}
}

func btrfsGroups(yield func(string) bool) {
	for g := range verbs["btrfs"] {
		if !yield(g) {
			return
		}
	}
}

func shownVerb(w word) string {
	if !w.literal {
		return "with a command that only the script knows"
	}
	return w.text
}

// btrfsOperands skips the options before a word, and the values of those that have one.
func btrfsOperands(args []word) []word {
	for len(args) > 0 && strings.HasPrefix(args[0].text, "-") {
		skip := 1
		if args[0].text == "--log" || args[0].text == "--format" {
			skip = min(2, len(args))
		}
		args = args[skip:]
	}
	return args
}

// subvolume makes a path below the temporary mount point a name of a subvolume.
func (r *wipeReader) subvolume(p string) string {
	var best tempMount
	for _, m := range r.mounts {
		if strings.HasPrefix(p, m.dir+"/") && len(m.dir) >= len(best.dir) {
			best = m
		}
	}
	if best.dir == "" {
		// No mount was seen: the first component is the temporary mount point.
		if parts := strings.SplitN(strings.Trim(p, "/"), "/", 2); len(parts) == 2 {
			return parts[1]
		}
	}
	return strings.Trim(path.Join(best.subvolume, strings.TrimPrefix(p, best.dir)), "/")
}
