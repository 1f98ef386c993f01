package aggregate

import (
	"fmt"
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
