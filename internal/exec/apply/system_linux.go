package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/internal/syntax/mountinfo"
)

// System is the machine that this process runs on.
type System struct {
	// Observer observes it.
	Observer func(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error)
	// Env is the environment of zfs and getent.
	Env []string
	// Timeout is how long one step may take; 0 means [DefaultTimeout].
	Timeout time.Duration
}

// DefaultTimeout is longer than any step takes on a pool that answers; on one that is suspended zfs waits for ever.
const DefaultTimeout = 5 * time.Minute

// Observe observes the machine.
func (s *System) Observe(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error) {
	return s.Observer(ctx, desired)
}

// Do carries a step out. The error is a *[StepError].
func (s *System) Do(ctx context.Context, op dataset.Op) error {
	var err error
	switch op := op.(type) {
	case *dataset.Create:
		if err = free(op.Dataset, op.Path); err == nil {
			_, err = s.zfs(ctx, dataset.Command(op))
		}
	case *dataset.Inherit:
		_, err = s.zfs(ctx, dataset.Command(op))
	case *dataset.Set:
		if err = free(op.Dataset, op.Path); err != nil {
			break
		}
		if _, err = s.zfs(ctx, dataset.Command(op)); err == nil && dataset.Shares(op.Setting) {
			err = s.share(ctx, op.Dataset.String(), op.Setting.Name())
		}
	case *dataset.MakeMountpoint:
		err = makeMountpoint(op.Path)
	case *dataset.MountDataset:
		err = s.mount(ctx, op)
	case *dataset.Own:
		err = s.own(ctx, op)
	default:
		err = fmt.Errorf("unknown step %T", op)
	}
	if err == nil {
		return nil
	}
	e := &StepError{Op: op, Err: err}
	var said *saidError
	if errors.As(err, &said) {
		e.Reason = said.text
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		e.hint = h.Hint()
	}
	return e
}

// saidError is what zfs said.
type saidError struct {
	text string
	err  error
}

func (e *saidError) Error() string { return e.text }
func (e *saidError) Unwrap() error { return e.err }

// pathError says why a path is not what the step relies on.
type pathError struct{ text, hint string }

func (e *pathError) Error() string { return e.text }
func (e *pathError) Hint() string  { return e.hint }

// zfs runs a command and returns what it prints.
func (s *System) zfs(ctx context.Context, argv []string) ([]byte, error) {
	limit := s.Timeout
	if limit == 0 {
		limit = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s: the pool may be suspended", limit))
	defer cancel()
	type answer struct {
		run.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := run.Run(ctx, run.Cmd{Path: argv[0], Args: argv[1:], Env: s.Env})
		done <- answer{r, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		select {
		case a = <-done:
		case <-time.After(time.Second):
			// What waits for a suspended pool cannot be killed.
			a.err = context.Cause(ctx)
		}
	}
	if a.err == nil {
		return a.Stdout, nil
	}
	text := strings.Join(strings.Fields(string(bytes.ToValidUTF8(a.Stderr, []byte("?")))), " ")
	if text == "" || ctx.Err() != nil {
		return nil, a.err
	}
	return nil, &saidError{text, a.err}
}

// walk opens a directory without following a single link, so that what is looked at is what the path says. mk makes what is
// missing: all but the last with mode 0755, that with mode 0000.
func walk(path stateward.AbsPath, mk bool) (fd int, err error) {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err = unix.Open("/", flags|unix.O_PATH, 0)
	if err != nil {
		return -1, err
	}
	parts := strings.Split(strings.TrimPrefix(path.String(), "/"), "/")
	if path == stateward.Root {
		parts = []string{"."}
	}
	for i, part := range parts {
		at := "/" + strings.Join(parts[:i+1], "/")
		last := i == len(parts)-1
		how := flags | unix.O_PATH
		if last {
			how = flags | unix.O_RDONLY | unix.O_NONBLOCK
		}
		next, err := open(fd, part, how)
		if errors.Is(err, fs.ErrNotExist) && mk {
			mode := uint32(0o755)
			if last {
				mode = 0
			}
			made := unix.Mkdirat(fd, part, mode)
			if err = made; made == nil || errors.Is(made, fs.ErrExist) {
				next, err = open(fd, part, how)
			}
			if made == nil && err == nil && !last {
				if err = readable(next); err != nil {
					unix.Close(next)
				}
			}
		}
		if err != nil {
			err = explain(fd, part, at, err)
			unix.Close(fd)
			return -1, err
		}
		unix.Close(fd)
		fd = next
	}
	return fd, nil
}

func open(at int, name string, how int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(at, name, how, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// readable gives a directory that was just made the mode that a umask may have kept from it.
func readable(fd int) error {
	// What is open for its path only cannot be changed by fchmod(2).
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o755)
}

// explain says why a part of a path could not be opened.
func explain(dir int, name, at string, err error) error {
	var st unix.Stat_t
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			if st.Mode&unix.S_IFMT == unix.S_IFLNK {
				return &pathError{at + " is a symbolic link, which is not followed", "declare the mountpoint without links: " + target(dir, name)}
			}
			return &pathError{at + " is no directory", "move it away"}
		}
	}
	return &fs.PathError{Op: "open", Path: at, Err: err}
}

func target(dir int, name string) string {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "where it leads"
	}
	return "it leads to " + strconv.Quote(string(buf[:n]))
}

func makeMountpoint(path stateward.AbsPath) error {
	fd, err := walk(path, true)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// entry is one name in an open directory; empty where it has none.
func entry(fd int) (string, error) {
	// Another description of the same directory, which begins at its start.
	again, err := open(fd, ".", unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(again)
	buf := make([]byte, 4096)
	for {
		n, err := unix.Getdents(again, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return "", err
		}
		if _, _, names := unix.ParseDirent(buf[:n], 1, nil); len(names) > 0 {
			return names[0], nil
		}
	}
}

// mountpoint is a line of mountinfo.
type mountpoint struct {
	id                       int
	device                   string
	root, at, fsType, source string
}

// mountOf finds the mount that an open directory belongs to, and tells whether the directory is its top.
func mountOf(fd int) (m mountpoint, top bool, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return m, false, err
	}
	id := -1
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			if id, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return m, false, err
			}
		}
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return m, false, err
	}
	m, ok := findMount(string(info), id)
	if !ok {
		return m, false, fmt.Errorf("no line of /proc/self/mountinfo has the number %d", id)
	}
	// Where the directory is says the kernel itself: it is the name of what is open.
	now, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return m, now == m.at, err
}

// findMount finds a line of proc_pid_mountinfo(5) by its number.
func findMount(info string, id int) (m mountpoint, ok bool) {
	for line := range strings.Lines(info) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(f) < 10 || f[0] != strconv.Itoa(id) {
			continue
		}
		dash := 6
		for dash < len(f) && f[dash] != "-" {
			dash++
		}
		if dash+2 >= len(f) {
			return m, false
		}
		return mountpoint{id: id, device: f[2], root: mountinfo.Unescape(f[3]), at: mountinfo.Unescape(f[4]), fsType: f[dash+1], source: mountinfo.Unescape(f[dash+2])}, true
	}
	return m, false
}

// is tells whether a directory is the top of this dataset's file system, mounted there.
func (m *mountpoint) is(name dataset.Name, path stateward.AbsPath) bool {
	return m.fsType == "zfs" && m.source == name.String() && m.root == "/" && m.at == path.String()
}

// look looks at the open directory on which a dataset is to be mounted: here tells that it is mounted there already.
func look(fd int, name dataset.Name, path stateward.AbsPath) (here bool, err error) {
	at := path.String()
	m, top, err := mountOf(fd)
	switch {
	case err != nil:
		return false, err
	case top && m.is(name, path):
		return true, nil
	case top:
		return false, &pathError{fmt.Sprintf("%s is mounted at %s", m.source, at), "unmount that, or choose another mountpoint"}
	}
	switch found, err := entry(fd); {
	case err != nil:
		return false, &fs.PathError{Op: "read", Path: at, Err: err}
	case found != "":
		return false, &pathError{fmt.Sprintf("%s holds files, such as %s, that the mount would hide", at, strconv.Quote(found)), "move them onto the dataset first: stateward plan migrate SERVICE --dataset " + name.String()}
	}
	return false, nil
}

// free tells why a dataset could not be mounted at a place, which may be unset. One that is made all the same, or given its mountpoint,
// would be mounted by the next boot, over what lies there.
func free(name dataset.Name, path stateward.AbsPath) error {
	if path == (stateward.AbsPath{}) {
		return nil
	}
	fd, err := walk(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = look(fd, name, path)
	return err
}

// mount mounts a dataset on an empty directory (D2). The directory is held open meanwhile: whoever puts something into it until
// the mount is there is found, and so is a path that leads elsewhere since.
func (s *System) mount(ctx context.Context, op *dataset.MountDataset) error {
	at, name := op.Path.String(), op.Dataset.String()
	below, err := walk(op.Path, false)
	if err != nil {
		return err
	}
	defer unix.Close(below)
	if here, err := look(below, op.Dataset, op.Path); here || err != nil {
		return err
	}
	out, err := s.zfs(ctx, []string{"zfs", "get", "-Hp", "-o", "value", "mountpoint,mounted,canmount,sharenfs,sharesmb", "--", name})
	if err != nil {
		return err
	}
	shared := false
	switch values := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); {
	case len(values) != 5:
		return fmt.Errorf("zfs get printed %q", out)
	case values[0] != at:
		return &pathError{fmt.Sprintf("its mountpoint is %s by now", values[0]), ""}
	case values[1] != "no":
		if here, err := s.mountedHere(op); here || err != nil {
			return err
		}
		return &pathError{"it is mounted elsewhere by now", ""}
	case values[2] == "off":
		return &pathError{"it has canmount=off by now", ""}
	default:
		shared = values[3] != "off" || values[4] != "off"
	}
	if _, err := s.zfs(ctx, dataset.Command(op)); err != nil {
		return err
	}
	if found, err := entry(below); err != nil {
		return &fs.PathError{Op: "read", Path: at, Err: err}
	} else if found != "" {
		return &pathError{fmt.Sprintf("%s was written into while it was being mounted: %s is hidden now", at, strconv.Quote(found)),
			"stop what writes there, zfs unmount " + name + ", and move what is there onto the dataset"}
	}
	switch here, err := s.mountedHere(op); {
	case err != nil:
		return err
	case !here:
		return &pathError{fmt.Sprintf("zfs mounted it, and something else is what is seen at %s", at), "look at findmnt: something else was mounted over it, or a directory above was"}
	case shared:
		// `zfs mount` shares nothing.
		_, err := s.zfs(ctx, []string{"zfs", "share", "--", name})
		return err
	}
	return nil
}

// mountedHere tells whether a dataset is what is seen where it is to be mounted.
func (s *System) mountedHere(op *dataset.MountDataset) (bool, error) {
	fd, err := walk(op.Path, false)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	m, top, err := mountOf(fd)
	return err == nil && top && m.is(op.Dataset, op.Path), err
}

// share shares a dataset anew, and those that inherit from it, as far as they are mounted: `zfs set -u` does not, and without -u it
// would mount the others, over files too.
func (s *System) share(ctx context.Context, name, property string) error {
	out, err := s.zfs(ctx, []string{"zfs", "get", "-Hr", "-t", "filesystem", "-o", "name,property,value,source", "--", "mounted," + property, name})
	if err != nil {
		return err
	}
	mounted := map[string]bool{}
	var theirs []string
	for line := range strings.Lines(string(out)) {
		switch f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); {
		case len(f) != 4:
			return fmt.Errorf("zfs get printed %q", line)
		case f[1] == "mounted":
			mounted[f[0]] = f[2] == "yes"
		case f[0] == name || f[3] == "inherited from "+name:
			theirs = append(theirs, f[0])
		}
	}
	for _, d := range theirs {
		if !mounted[d] {
			continue
		}
		// One that is not shared cannot be unshared.
		_, _ = s.zfs(ctx, []string{"zfs", "unshare", "--", d})
		if _, shareErr := s.zfs(ctx, []string{"zfs", "share", "--", d}); shareErr != nil {
			err = shareErr
		}
	}
	return err
}

// own changes the directory at the top of a mounted dataset, and nothing that is not it (D2): the directory is opened once,
// without following links, asked which mount it belongs to, and changed through what was opened.
func (s *System) own(ctx context.Context, op *dataset.Own) error {
	uid, err := s.id(ctx, "passwd", op.Owner)
	if err != nil {
		return err
	}
	gid, err := s.id(ctx, "group", op.Group)
	if err != nil {
		return err
	}
	fd, err := walk(op.Path, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	m, top, err := mountOf(fd)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)); !top || !m.is(op.Dataset, op.Path) || device != m.device {
		what := "what is mounted at " + m.at + ", which is " + m.source
		if top {
			what = m.source
		}
		return &pathError{fmt.Sprintf("%s is not mounted there: %s belongs to %s", op.Dataset, op.Path, what), "mount it first; nothing was changed"}
	}
	if uid >= 0 && uint32(uid) != st.Uid || gid >= 0 && uint32(gid) != st.Gid {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return &fs.PathError{Op: "chown", Path: op.Path.String(), Err: err}
		}
	}
	if bits := uint32(op.Mode.Bits()); !op.Mode.IsZero() && bits != st.Mode&0o7777 {
		if err := unix.Fchmod(fd, bits); err != nil {
			return &fs.PathError{Op: "chmod", Path: op.Path.String(), Err: err}
		}
	}
	return nil
}

// id is the number of a user (of passwd) or group; -1 where none is given.
func (s *System) id(ctx context.Context, database string, o stateward.Owner) (int, error) {
	name := o.String()
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return int(n), nil
	}
	what, text := "user", ""
	if database == "passwd" {
		if u, err := user.Lookup(name); err == nil {
			text = u.Uid
		}
	} else {
		what = "group"
		if g, err := user.LookupGroup(name); err == nil {
			text = g.Gid
		}
	}
	if text == "" {
		// Those that are in no file: of systemd, of a directory.
		if out, err := s.zfs(ctx, []string{"getent", "--", database, name}); err == nil {
			if f := strings.Split(strings.TrimSuffix(string(out), "\n"), ":"); len(f) > 2 && f[0] == name {
				text = f[2]
			}
		}
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return -1, &pathError{fmt.Sprintf("%s %s is unknown", what, name), "let the users be made first"}
	}
	return int(n), nil
}
