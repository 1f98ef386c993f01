// Package nar writes the Nix archive of a file tree: the serialisation whose hash nix calls the narHash, and by which a
// flake's source is known. It mirrors dumpPath of nix' src/libutil/archive.cc.
package nar

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Keep decides what of a tree is archived. name is relative to the root, with slashes; the root itself is not asked
// for. What is below a folder that is not kept is not asked for either. nil keeps everything.
type Keep func(name string, d fs.DirEntry) bool

// TypeError says that something in the tree is neither file, folder nor symbolic link, as a socket is. nix refuses it too.
type TypeError struct {
	Path string
	Mode fs.FileMode
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("%s is a %s, which a nix archive cannot hold", e.Path, kindName(e.Mode))
}

// Hint says how to mend it.
func (e *TypeError) Hint() string { return "move it out of the tree" }

func kindName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	default:
		return "special file"
	}
}

// ChangedError says that a file became longer or shorter while it was read.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + " changed while it was read" }

// Hash returns the SHA-256 of the archive of what is at root.
func Hash(ctx context.Context, root string, keep Keep) ([sha256.Size]byte, error) {
	h := sha256.New()
	w := bufio.NewWriterSize(h, 64<<10)
	if err := Write(ctx, w, root, keep); err != nil {
		return [sha256.Size]byte{}, err
	}
	if err := w.Flush(); err != nil {
		return [sha256.Size]byte{}, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Write writes the archive of what is at root: a folder, a file or a symbolic link. Files are read ahead, several at
// once; what is written depends on the tree alone. The error is a *[TypeError], a *[ChangedError], comes from the file
// system or from w, or is the cause of ctx.
func Write(ctx context.Context, w io.Writer, root string, keep Keep) error {
	info, err := os.Lstat(root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &archive{ctx: ctx, w: w, keep: keep, small: make(chan *content, readAhead)}
	// Readers must be gone before the caller goes on.
	defer a.readers.Wait()
	defer cancel()
	for range readers {
		a.readers.Go(a.read)
	}
	defer close(a.small)
	a.text("nix-archive-1")
	a.node(root, "", info.Mode())
	if a.err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return a.err
}

const (
	// readers open and read small files at once: the wait for each would add up otherwise.
	readers = 4
	// readAhead is how many files may wait to be read.
	readAhead = 256
	// smallFile is read as a whole; a larger one is copied piece by piece.
	smallFile = 128 << 10
)

type archive struct {
	ctx     context.Context
	w       io.Writer
	keep    Keep
	err     error
	buf     [16]byte
	small   chan *content
	readers sync.WaitGroup
}

// content is a file that a reader reads.
type content struct {
	path string
	done chan struct{}
	data []byte
	exec bool
	// large tells that the file is not read as a whole, but when it is written.
	large bool
	size  int64
	err   error
}

func (a *archive) read() {
	for c := range a.small {
		if a.ctx.Err() != nil {
			c.err = a.ctx.Err()
		} else {
			c.load()
		}
		close(c.done)
	}
}

// load reads a file as a whole, unless it is large.
func (c *content) load() {
	f, err := openFile(c.path)
	if err != nil {
		c.err = err
		return
	}
	defer f.close()
	mode, size, err := f.stat()
	switch {
	case err != nil:
		c.err = err
		return
	case !mode.IsRegular():
		c.err = &ChangedError{c.path}
		return
	}
	c.size, c.exec = size, mode&0o100 != 0
	if c.size > smallFile {
		c.large = true
		return
	}
	// One byte more shows that the file has grown.
	data := make([]byte, size+1)
	n := 0
	for n < len(data) {
		m, err := f.Read(data[n:])
		if err == io.EOF {
			break
		}
		if err != nil {
			c.err = err
			return
		}
		n += m
		if int64(n) == size {
			break
		}
	}
	if int64(n) != size {
		c.err = &ChangedError{c.path}
		return
	}
	c.data = data[:n]
}

func changed(path string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &ChangedError{path}
	}
	return err
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *archive) bytes(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}

func (a *archive) length(n uint64) {
	binary.LittleEndian.PutUint64(a.buf[:8], n)
	a.bytes(a.buf[:8])
}

var zeros [8]byte

func (a *archive) pad(n uint64) {
	if rest := n % 8; rest != 0 {
		a.bytes(zeros[:8-rest])
	}
}

func (a *archive) text(s string) {
	a.length(uint64(len(s)))
	if a.err == nil {
		_, a.err = io.WriteString(a.w, s)
	}
	a.pad(uint64(len(s)))
}

func (a *archive) texts(list ...string) {
	for _, s := range list {
		a.text(s)
	}
}

func (a *archive) node(at, rel string, mode fs.FileMode) {
	switch {
	case a.err != nil:
	case mode.IsDir():
		a.folder(at, rel)
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(at)
		if err != nil {
			a.fail(err)
			return
		}
		a.texts("(", "type", "symlink", "target", target, ")")
	case mode.IsRegular():
		c := &content{path: at}
		c.load()
		a.file(c)
	default:
		a.fail(&TypeError{at, mode})
	}
}

func (a *archive) folder(at, rel string) {
	list, err := os.ReadDir(at)
	if err != nil {
		a.fail(err)
		return
	}
	slices.SortFunc(list, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	if a.keep != nil {
		list = slices.DeleteFunc(list, func(d fs.DirEntry) bool { return !a.keep(path.Join(rel, d.Name()), d) })
	}
	// The files of a folder are read while what stands before them is written.
	files := make([]*content, len(list))
	ahead := 0
	a.texts("(", "type", "directory")
	for i, d := range list {
		for ; ahead < len(list) && ahead < i+readAhead/2; ahead++ {
			if list[ahead].Type().IsRegular() {
				files[ahead] = &content{path: filepath.Join(at, list[ahead].Name()), done: make(chan struct{})}
				a.small <- files[ahead]
			}
		}
		if a.err != nil {
			if c := files[i]; c != nil {
				<-c.done
			}
			continue
		}
		a.texts("entry", "(", "name", d.Name(), "node")
		if c := files[i]; c != nil {
			<-c.done
			a.file(c)
			files[i] = nil
		} else {
			a.node(filepath.Join(at, d.Name()), path.Join(rel, d.Name()), d.Type())
		}
		a.text(")")
		if a.ctx.Err() != nil {
			a.fail(a.ctx.Err())
		}
	}
	a.text(")")
}

func (a *archive) file(c *content) {
	if c.err != nil {
		a.fail(c.err)
		return
	}
	a.texts("(", "type", "regular")
	if c.exec {
		a.texts("executable", "")
	}
	a.text("contents")
	a.length(uint64(c.size))
	if c.large {
		a.copy(c)
	} else {
		a.bytes(c.data)
	}
	a.pad(uint64(c.size))
	a.text(")")
}

func (a *archive) copy(c *content) {
	f, err := openFile(c.path)
	if err != nil {
		a.fail(err)
		return
	}
	defer f.close()
	piece := make([]byte, 1<<20)
	for left := c.size; left > 0 && a.err == nil; {
		n, err := io.ReadFull(f, piece[:min(left, int64(len(piece)))])
		if err != nil {
			a.fail(changed(c.path, err))
			return
		}
		a.bytes(piece[:n])
		left -= int64(n)
		if a.ctx.Err() != nil {
			a.fail(a.ctx.Err())
		}
	}
	if a.err == nil {
		if n, _ := f.Read(piece[:1]); n > 0 {
			a.fail(&ChangedError{c.path})
		}
	}
}
