package nar_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	oracle "github.com/nix-community/go-nix/pkg/nar"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward/internal/nar"
	"github.com/stateward/stateward/internal/nixtest"
)

// node is a file tree to write.
type node struct {
	name   string
	text   string
	exec   bool
	target string
	folder []node
	isDir  bool
}

func write(tb testing.TB, at string, n node) {
	switch {
	case n.isDir:
		require.NoError(tb, os.Mkdir(at, 0o755))
		for _, c := range n.folder {
			write(tb, filepath.Join(at, c.name), c)
		}
	case n.target != "":
		require.NoError(tb, os.Symlink(n.target, at))
	default:
		mode := fs.FileMode(0o644)
		if n.exec {
			mode = 0o755
		}
		require.NoError(tb, os.WriteFile(at, []byte(n.text), 0o600))
		require.NoError(tb, os.Chmod(at, mode))
	}
}

func tree(depth int) *rapid.Generator[node] {
	return rapid.Custom(func(t *rapid.T) node {
		kinds := []string{"file", "file", "link"}
		if depth > 0 {
			kinds = append(kinds, "folder", "folder")
		}
		var n node
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "file":
			n.exec = rapid.Bool().Draw(t, "exec")
			n.text = strings.Repeat(rapid.SampledFrom([]string{"", "a", "12345678", "\x00\xff"}).Draw(t, "text"), rapid.SampledFrom([]int{1, 2, 7, 20000, 100000}).Draw(t, "times"))
		case "link":
			n.target = rapid.SampledFrom([]string{"x", "../..", "/nix/store", "a b\n"}).Draw(t, "target")
		case "folder":
			n.isDir = true
			names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "a.b", "ä", ".hidden", "...", "..data", "with blank", "\xff", "-x", "A", "a\nb", "zz"}), 0, 6, rapid.ID[string]).Draw(t, "names")
			for _, name := range names {
				c := tree(depth-1).Draw(t, "child")
				c.name = name
				n.folder = append(n.folder, c)
			}
		}
		return n
	})
}

func (n node) has(name string) bool {
	if strings.HasPrefix(n.name, name) {
		return true
	}
	for _, c := range n.folder {
		if c.has(name) {
			return true
		}
	}
	return false
}

func TestWriteEqualsTheOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := tree(3).Draw(rt, "tree")
		root := filepath.Join(t.TempDir(), "root")
		write(t, root, n)
		var got, want bytes.Buffer
		require.NoError(rt, nar.Write(t.Context(), &got, root, nil))
		sum, err := nar.Hash(t.Context(), root, nil)
		require.NoError(rt, err)
		require.Equal(rt, sha256.Sum256(got.Bytes()), sum)
		if n.has("..") || n.has("\xff") {
			return // the oracle refuses such names, nix does not
		}
		require.NoError(rt, oracle.DumpPath(&want, root))
		require.True(rt, bytes.Equal(want.Bytes(), got.Bytes()))
	})
}

// oddTree has what other implementations stumble over.
var oddTree = node{isDir: true, folder: []node{
	{name: "..data", text: "as in a kubernetes volume"}, {name: ".git", isDir: true, folder: []node{{name: "HEAD", text: "ref"}}},
	{name: "empty", isDir: true}, {name: "none", text: ""}, {name: "bin", isDir: true, folder: []node{{name: "run", text: "#!/bin/sh\n", exec: true}}},
	{name: "link", target: "../nowhere"}, {name: "\xff", text: "no UTF-8"}, {name: "a b\nc", text: "x"},
	{name: "large", text: strings.Repeat("0123456789", 100_000)}, {name: "a", isDir: true, folder: []node{{name: "b", text: "1"}}}, {name: "a.b", text: "2"}, {name: "a-b", text: "3"},
}}

func TestHashEqualsNix(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	write(t, root, oddTree)
	got, err := nar.Hash(t.Context(), root, nil)
	require.NoError(t, err)
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			t.Parallel()
			out, err := n.Run(t, "hash", "path", "--base16", "--type", "sha256", root)
			require.NoError(t, err, "%s", out)
			require.Equal(t, hex.EncodeToString(got[:]), strings.TrimSpace(string(out)))
		})
	}
}

func TestKeepLeavesOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole, part := filepath.Join(dir, "whole"), filepath.Join(dir, "part")
	write(t, whole, oddTree)
	kept := oddTree
	kept.folder = nil
	for _, c := range oddTree.folder {
		if c.name != ".git" && c.name != "bin" {
			kept.folder = append(kept.folder, c)
		}
	}
	kept.folder = append(kept.folder, node{name: "bin", isDir: true})
	write(t, part, kept)
	want, err := nar.Hash(t.Context(), part, nil)
	require.NoError(t, err)
	var asked []string
	got, err := nar.Hash(t.Context(), whole, func(name string, _ fs.DirEntry) bool {
		asked = append(asked, name)
		return name != ".git" && name != "bin/run"
	})
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Contains(t, asked, "bin/run")
	require.NotContains(t, asked, ".git/HEAD")
}

func TestWhatCannotBeArchived(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	_, err := nar.Hash(t.Context(), dir, nil)
	var te *nar.TypeError
	require.ErrorAs(t, err, &te)
	require.EqualError(t, err, filepath.Join(dir, "pipe")+" is a named pipe, which a nix archive cannot hold")

	_, err = nar.Hash(t.Context(), filepath.Join(dir, "none"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)

	full := errors.New("disk full")
	require.ErrorIs(t, nar.Write(t.Context(), failing{full}, t.TempDir(), nil), full)

	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	root := filepath.Join(t.TempDir(), "root")
	write(t, root, oddTree)
	_, err = nar.Hash(ctx, root, nil)
	require.ErrorIs(t, err, cause)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A file that grows or shrinks while it is read gives no hash that nothing has.
func TestChangingFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 4<<20), 0o600))
	shrink := writerFunc(func(b []byte) (int, error) {
		if len(b) < 1<<20 {
			return len(b), nil
		}
		return len(b), os.Truncate(file, 1<<20)
	})
	var ce *nar.ChangedError
	require.ErrorAs(t, nar.Write(t.Context(), shrink, file, nil), &ce)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func FuzzWrite(f *testing.F) {
	f.Add("name", []byte("text"), "target", true)
	f.Add("..x", []byte{}, "", false)
	f.Fuzz(func(t *testing.T, name string, text []byte, target string, exec bool) {
		if name == "" || len(name) > 200 || len(target) > 1000 || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || strings.ContainsRune(target, 0) {
			return // no name of a file, or no target
		}
		n := node{isDir: true, folder: []node{{name: name, isDir: true, folder: []node{{name: "f", text: string(text), exec: exec}}}}}
		if target != "" {
			n.folder[0].folder = append(n.folder[0].folder, node{name: "l", target: target})
		}
		root := filepath.Join(t.TempDir(), "r")
		write(t, root, n)
		var got, want bytes.Buffer
		require.NoError(t, nar.Write(t.Context(), &got, root, nil))
		if err := oracle.DumpPath(&want, root); err == nil {
			require.True(t, bytes.Equal(want.Bytes(), got.Bytes()))
		}
	})
}

// The figures that matter are ratios: ours to go-nix's, and ours to nix's, on one tree in one run.
func BenchmarkHash(b *testing.B) {
	for _, size := range []struct {
		name        string
		files, size int
	}{{"50000 files of 1 KiB", 50_000, 1 << 10}, {"1 GiB in 8 files", 8, 128 << 20}} {
		root := filepath.Join(b.TempDir(), "root")
		require.NoError(b, os.Mkdir(root, 0o755))
		text := bytes.Repeat([]byte("0123456789abcdef"), size.size/16)
		for i := range size.files {
			dir := filepath.Join(root, fmt.Sprint("d", i/100))
			_ = os.Mkdir(dir, 0o755)
			require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), text, 0o600))
		}
		b.Run(size.name+"/ours", func(b *testing.B) {
			for b.Loop() {
				_, err := nar.Hash(b.Context(), root, nil)
				require.NoError(b, err)
			}
		})
		b.Run(size.name+"/go-nix", func(b *testing.B) {
			for b.Loop() {
				h := sha256.New()
				require.NoError(b, oracle.DumpPath(h, root))
				_, _ = io.WriteString(io.Discard, hex.EncodeToString(h.Sum(nil)))
			}
		})
		for _, n := range nixtest.All(b) {
			b.Run(size.name+"/"+n.Name, func(b *testing.B) {
				for b.Loop() {
					_, err := n.Run(b, "hash", "path", "--type", "sha256", root)
					require.NoError(b, err)
				}
			})
		}
		require.NoError(b, os.RemoveAll(root))
	}
}
