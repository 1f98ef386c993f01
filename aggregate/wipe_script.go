package aggregate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// wipeReader recognises the commands with which the field wipes a root (N8), and
// doubts the root where a command may do so and what it does is not read.
type wipeReader struct {
	*wipes
	hook string
	// stock tells that the text is one of NixOS itself, and need not be wholly understood.
	stock  bool
	mounts []tempMount
	// leftovers tells that subvolumes are deleted of which only the script knows the names.
	leftovers bool
	functions map[string]bool
	depth     int
}

// tempMount is a Btrfs file system that a script mounts for itself.
type tempMount struct{ dir, subvolume string }

// maxScripts bounds how deep a script is written inside of a script.
const maxScripts = 8

func (r *wipeReader) script(text string) {
	if r.depth++; r.depth > maxScripts {
		r.hide("a script in too many scripts")
		return
	}
	defer func() {
		r.depth--
		// The parser's tree of an odd text has had parts that its own walk does not
		// expect. What cannot be read makes the root unknown, and no more.
		if p := recover(); p != nil {
			r.hide("a shell construct that cannot be read")
		}
		// Beside a subvolume that is made anew it is old copies that are deleted.
		if r.depth == 0 && r.leftovers && len(r.subvolumes) == 0 {
			r.hide("btrfs subvolume delete at a place that only the script knows")
		}
	}()
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), r.hook)
	if err != nil {
		if !r.stock || mentionsWipe(text) {
			r.doubt(fmt.Sprintf("the text of %s cannot be parsed as a shell script", r.hook), mentionsWipe(text))
		}
		return
	}
	if r.functions == nil {
		r.functions = map[string]bool{}
	}
	vars := readVariables(file)
	syntax.Walk(file, func(n syntax.Node) bool {
		if f, ok := n.(*syntax.FuncDecl); ok && f.Name != nil {
			r.functions[f.Name.Value] = true
		}
		return true
	})
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				break
			}
			for _, values := range vars.alternatives(n.Args...) {
				var words []word
				for _, a := range n.Args {
					words = append(words, expand(a, values)...)
				}
				r.call(words)
			}
		case *syntax.Redirect:
			if n.Word == nil || n.Op == syntax.RdrIn || n.Op == syntax.DplOut || n.Op == syntax.DplIn || n.Op == syntax.Hdoc || n.Op == syntax.DashHdoc || n.Op == syntax.WordHdoc {
				break
			}
			for _, values := range vars.alternatives(n.Word) {
				r.overwrite("a redirection", expand(n.Word, values)[0])
			}
		}
		return true
	})
}

// hide notes a command that wipes something that is not known.
func (r *wipeReader) hide(what string) { r.doubt(fmt.Sprintf("%s in %s", what, r.hook), true) }

// doubt notes why it is not known what is wiped; meant tells that something is. What
// is meant outweighs what may be.
func (r *wipeReader) doubt(why string, meant bool) {
	if r.opaque == "" || meant && !r.meant {
		r.opaque = why
	}
	r.meant = r.meant || meant
}

// unread notes a program whose text is not seen.
func (r *wipeReader) unreadProgram(text string) {
	if meant := mentionsWipe(text); meant || !r.stock {
		r.doubt(fmt.Sprintf("%s runs %s, and what that does is not read", r.hook, text), meant)
	}
}

func (r *wipeReader) dataset(name string, below bool) {
	r.datasets[name] = wipe{hook: r.hook, below: below || r.datasets[name].below}
	r.meant = true
}

func (r *wipeReader) device(name string) {
	r.devices[name] = wipe{hook: r.hook}
	r.meant = true
}

func (r *wipeReader) anew(subvolume string) {
	r.subvolumes[subvolume] = wipe{hook: r.hook}
	r.meant = true
}

func (r *wipeReader) call(args []word) {
	name, known := args[0].program()
	if !known {
		if !r.stock {
			r.doubt(fmt.Sprintf("%s runs a command that only the script knows", r.hook), false)
		}
		r.behind(args)
		return
	}
	switch {
	case name == "":
	case r.functions[name]:
		r.behind(args)
	case name == "zfs":
		r.zfs(args)
	case name == "btrfs":
		r.btrfs(args)
	case name == "mount" || strings.HasPrefix(name, "mount."):
		r.mount(args)
	case name == "rm" || name == "find":
		r.remove(name, args)
	case name == "mv":
		r.move(args)
	case name == "rsync":
		if slices.ContainsFunc(args[1:], func(a word) bool {
			return !a.literal || strings.HasPrefix(a.text, "--del") || strings.HasPrefix(a.text, "--remove")
		}) {
			r.hide("rsync that may delete")
		}
	case formats(name):
		if len(args) > 1 && (name != "wipefs" || slices.ContainsFunc(args[1:], erases)) {
			r.format(args)
		}
	case name == "dd":
		for _, a := range args[1:] {
			if to, ok := strings.CutPrefix(a.text, "of="); ok {
				a.text, a.head = to, strings.TrimPrefix(a.head, "of=")
				r.overwrite("dd", a)
			} else if a.head == "" && !a.literal {
				r.hide("dd to what only the script knows")
			}
		}
	case name == "sh" || name == "bash" || name == "ash" || name == "dash":
		r.shell(args)
	case name == "eval":
		var text []string
		for _, a := range args[1:] {
			if !a.literal {
				r.unreadProgram("eval of what only the script knows")
				return
			}
			text = append(text, a.text)
		}
		r.script(strings.Join(text, " "))
	case name == "trap":
		if len(args) > 2 && args[1].literal {
			r.script(args[1].text)
		} else if len(args) > 2 {
			r.unreadProgram("a trap that only the script knows")
		}
	case name == "." || name == "source":
		if len(args) > 1 && !r.stock {
			r.doubt(fmt.Sprintf("%s reads %s, whose text is not seen", r.hook, shown(args[1])), mentionsWipe(args[1].text))
		}
	case name == "mdadm":
		if slices.ContainsFunc(args[1:], func(a word) bool { return a.text == "--create" || a.text == "-C" || a.text == "--zero-superblock" }) {
			r.hide("mdadm makes an array")
		}
	case verbs[name] != nil:
		r.verb(name, args)
	default:
		if before, ok := wrappers[name]; ok {
			r.wrapped(name, args, before)
			return
		}
		if strings.HasPrefix(name, "fsck.") || harmless[name] {
			r.harmless(name, args)
			return
		}
		r.unreadProgram(args[0].text)
		r.behind(args)
	}
}

// shown is a word as a message shows it.
func shown(w word) string {
	if w.text == "" || !w.literal {
		return "a file that only the script knows"
	}
	return w.text
}

// behind reads a command that stands among the arguments of what is not known.
func (r *wipeReader) behind(args []word) {
	for i, a := range args[1:] {
		if n, ok := a.program(); ok && (n == "zfs" || n == "btrfs" || n == "bcachefs" || formats(n)) {
			r.call(args[i+1:])
			return
		}
	}
}

// wrapped reads the program that another one runs.
func (r *wipeReader) wrapped(name string, args []word, operands int) {
	rest := args[1:]
	for len(rest) > 0 {
		t := rest[0].text
		switch {
		case (name == "command" || name == "exec") && (t == "-v" || t == "-V"):
			return
		case strings.HasPrefix(t, "-"), strings.Contains(t, "=") && !strings.Contains(t, "/"), t != "" && strings.Trim(t, "0123456789.smhd") == "" && name != "chroot", t == "{}":
			rest = rest[1:]
		case operands > 0:
			operands--
			rest = rest[1:]
		default:
			if name == "xargs" {
				rest = append(slices.Clone(rest), word{})
			}
			r.call(rest)
			return
		}
	}
}

// harmless reads what a program that wipes nothing by itself writes to.
func (r *wipeReader) harmless(name string, args []word) {
	switch name {
	case "cp", "install", "tee", "zcat", "pv":
		if len(args) > 1 {
			r.overwrite(name, args[len(args)-1])
		}
	case "awk", "gawk", "mawk", "sed":
		for _, a := range args[1:] {
			if (strings.Contains(a.text, "system(") || strings.Contains(a.text, "| \"")) && !r.stock {
				r.unreadProgram(name + " with commands of its own")
			}
		}
	}
}

func (r *wipeReader) shell(args []word) {
	for i, a := range args[1:] {
		if strings.HasPrefix(a.text, "-") && !strings.HasPrefix(a.text, "--") && strings.Contains(a.text, "c") && i+2 < len(args) {
			if !args[i+2].literal {
				r.unreadProgram(args[0].text + " with a text that only the script knows")
				return
			}
			r.script(args[i+2].text)
			return
		}
		if !strings.HasPrefix(a.text, "-") {
			r.unreadProgram(shown(a))
			return
		}
	}
	r.unreadProgram(args[0].text)
}

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
