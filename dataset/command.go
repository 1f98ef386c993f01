package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// Command is the command that carries a step out, as an argument vector that begins with "zfs"; nil for a step that is none
// of zfs: [*MakeMountpoint] and [*Own]. No shell reads it: whoever writes it down for one quotes it. It holds for OpenZFS
// 2.2 and newer, where `zfs set -u` came.
func Command(op Op) []string {
	name := op.Target().s
	switch op := op.(type) {
	case *Create:
		if op.Type == Volume {
			return createVolume(op)
		}
		args := []string{"zfs", "create", "-u"}
		for _, s := range op.Settings {
			args = append(args, "-o", s.String())
		}
		return append(args, "--", name)
	case *Set:
		args := []string{"zfs", "set"}
		if slices.Contains(mountProperties, op.Setting.name) && (!slices.Contains(shareProperties, op.Setting.name) || Shares(op.Setting)) {
			args = append(args, "-u")
		}
		return append(args, "--", op.Setting.String(), name)
	case *Inherit:
		return []string{"zfs", "inherit", "--", op.Property, name}
	case *MountDataset:
		return []string{"zfs", "mount", "--", name}
	case *MakeMountpoint, *Own:
		return nil
	}
	panic(fmt.Sprintf("unknown step %T", op))
}

// createVolume is the command that makes a volume. One without a reservation is "sparse"; that of any other is as large as zfs thinks
// that the volume may become, which is what refreservation=auto asks for and `zfs create` refuses to be told.
func createVolume(op *Create) []string {
	args := []string{"zfs", "create"}
	var options []string
	for _, s := range op.Settings {
		switch {
		case s.name == "volsize":
			args = append(args, "-V", s.Text())
		case s.name == "refreservation" && s.value == "0":
			args = append(args, "-s")
		case s.name == "refreservation" && s.value == "auto":
		default:
			options = append(options, "-o", s.String())
		}
	}
	return append(append(args, options...), "--", op.Dataset.s)
}

// mountProperties are those that make zfs mount, move or share when they are set without -u (zfs_prop_set_list of
// libzfs_dataset.c, changelist_postfix of libzfs_changelist.c).
var mountProperties = []string{"mountpoint", "canmount", "sharenfs", "sharesmb", "zoned"}

// shareProperties share, or take back what is shared. With -u they do neither: off is set without, which mounts nothing.
var shareProperties = []string{"sharenfs", "sharesmb"}

// Shares tells whether a setting shares what is mounted. Its command does not do that, and whoever carries it out does: without -u it
// would mount all that inherits it as well.
func Shares(s Setting) bool { return slices.Contains(shareProperties, s.name) && s.value != "off" }

// Describe says in one line, for people, what a step does. A property's value may be any text: whoever prints it looks to
// control characters.
func Describe(op Op) string {
	name := op.Target().s
	switch op := op.(type) {
	case *Create:
		text := "create " + name
		if op.Type == Volume {
			text = "create volume " + name
		}
		for i, s := range op.Settings {
			text += map[bool]string{true: " with ", false: ", "}[i == 0] + s.String()
		}
		return text
	case *Set:
		return fmt.Sprintf("set %s of %s", op.Setting, name)
	case *Inherit:
		return fmt.Sprintf("inherit %s of %s", op.Property, name)
	case *MakeMountpoint:
		return fmt.Sprintf("make the directory %s for %s", op.Path, name)
	case *MountDataset:
		return fmt.Sprintf("mount %s at %s", name, op.Path)
	case *Own:
		var what []string
		for _, w := range []struct{ what, value string }{{"owner", op.Owner.String()}, {"group", op.Group.String()}, {"mode", op.Mode.String()}} {
			if w.value != "" {
				what = append(what, w.what+" "+w.value)
			}
		}
		return fmt.Sprintf("give %s, where %s is mounted, %s", op.Path, name, strings.Join(what, ", "))
	}
	panic(fmt.Sprintf("unknown step %T", op))
}
