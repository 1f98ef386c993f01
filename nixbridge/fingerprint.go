package nixbridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stateward/stateward/internal/nar"
	"github.com/stateward/stateward/internal/run"
)

// fingerprint finds the hash of all that an evaluation of the source hangs on, but for which host it is of. Where that
// cannot be known it is empty, and why says so: such an evaluation is never kept.
func (s *session) fingerprint(ctx context.Context) (key, why string) {
	switch {
	case s.NoCache:
		return "", ""
	case s.passes():
		return "", s.uncachedFor()
	case s.src.Kind == FileSource:
		return "", "a .nix file may read anything on this machine"
	case s.Online:
		return "", "what is fetched may change"
	case s.root == "":
		return "", "the flake is not on this machine"
	}
	expr, err := readExpression(s.dialects(), probeArgs{where: !s.NoLocations})
	if err != nil {
		return "", err.Error()
	}
	tree, why := s.treeKey(ctx)
	if why != "" {
		return "", why
	}
	sub, err := filepath.Rel(s.repo, s.root)
	if err != nil {
		return "", err.Error()
	}
	return hashTexts("stateward evaluation", fmt.Sprint(savedVersion, cacheVersion), s.version, expr, sub, tree, fmt.Sprint(s.MachineStore)), ""
}

// entryKey names the cache's entry for a part of what the source evaluates to.
func (s *session) entryKey(kind string, path []string) string {
	return hashTexts(append([]string{s.key, kind}, path...)...)
}

func hashTexts(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// treeKey is a hash of the tree that nix copies, and of what nix tells the flake of where it came from
// (`self.rev`, `self.lastModified`).
func (s *session) treeKey(ctx context.Context) (key, why string) {
	if _, query, _ := strings.Cut(s.ref, "?"); query != "" {
		values, err := url.ParseQuery(query)
		values.Del("dir")
		if err != nil || len(values) > 0 {
			return "", "the reference names more than a folder"
		}
	}
	var sum [sha256.Size]byte
	var err error
	version := ""
	if _, repo, _ := flakeRoot(s.repo, ""); repo == "" || strings.HasPrefix(s.ref, "path:") {
		var latest int64
		sum, err = nar.Hash(ctx, s.repo, func(_ string, d fs.DirEntry) bool {
			// path: flakes are told when the newest of their files was changed.
			if info, err := d.Info(); err == nil {
				latest = max(latest, info.ModTime().Unix())
			}
			return true
		})
		version = fmt.Sprint(latest)
	} else {
		sum, version, err = s.gitTree(ctx)
	}
	if err != nil {
		return "", err.Error()
	}
	return hex.EncodeToString(sum[:]) + " " + version, ""
}

// gitTree hashes the files of a repository that git knows of, with what they hold now: that is what nix copies.
func (s *session) gitTree(ctx context.Context) (sum [sha256.Size]byte, version string, err error) {
	var g errgroup.Group
	var files, status []byte
	git := func(out *[]byte, args ...string) error {
		r, err := run.Run(ctx, run.Cmd{Path: "git", Args: append([]string{"-C", s.repo}, args...), Env: s.env, Dir: s.dir, MaxStdout: maxOutput})
		*out = r.Stdout
		return err
	}
	g.Go(func() error { return git(&files, "ls-files", "--stage", "-z") })
	// With its head and whether it is clean; "(initial)" where there is no commit yet.
	g.Go(func() error {
		return git(&status, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no", "--no-ahead-behind")
	})
	if err := g.Wait(); err != nil {
		return sum, "", fmt.Errorf("git cannot tell what the flake consists of: %w", err)
	}
	known := map[string]bool{}
	for line := range bytes.SplitSeq(files, []byte{0}) {
		about, name, _ := bytes.Cut(line, []byte{'\t'})
		if bytes.HasPrefix(about, []byte("160000 ")) && s.wantsSubmodules() {
			return sum, "", errors.New("the flake asks for its submodules, whose files are not hashed")
		}
		for n := string(name); n != "" && n != "." && !known[n]; n = path.Dir(n) {
			known[n] = true
		}
	}
	sum, err = nar.Hash(ctx, s.repo, func(name string, _ fs.DirEntry) bool { return known[name] })
	head, dirty := "", false
	for line := range strings.SplitSeq(string(status), "\x00") {
		if oid, ok := strings.CutPrefix(line, "# branch.oid "); ok {
			head = oid
		} else if line != "" && !strings.HasPrefix(line, "# ") {
			dirty = true
		}
	}
	return sum, head + fmt.Sprint(" dirty: ", dirty), err
}

// knownVersion is what a nix program said of its version when it was asked last, as long as the file is the same. A script
// is always asked: what it runs may have changed.
type knownVersion struct {
	File    string `json:"file"`
	Stamp   string `json:"stamp"`
	Version string `json:"version"`
}

func (s *session) versionFile() string { return filepath.Join(s.dir, "nix.json") }

func (s *session) rememberedVersion(stamp string) string {
	var list []knownVersion
	if text, err := readSmall(s.versionFile()); err != nil || json.Unmarshal(text, &list) != nil {
		return ""
	}
	for _, k := range list {
		if k.File == s.nix && k.Stamp == stamp {
			return k.Version
		}
	}
	return ""
}

func (s *session) rememberVersion(stamp string) {
	const most = 16
	var list []knownVersion
	if text, err := readSmall(s.versionFile()); err == nil {
		_ = json.Unmarshal(text, &list)
	}
	kept := []knownVersion{{s.nix, stamp, s.version}}
	for _, k := range list {
		if k.File != s.nix && len(kept) < most {
			kept = append(kept, k)
		}
	}
	if text, err := json.Marshal(kept); err == nil {
		// Without it nix is asked again.
		_ = s.replaceFile(s.versionFile(), string(text))
	}
}

// readSmall reads a file of our own, which is never larger.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}

// programStamp tells a program file from what it was or will be; empty for a script.
func programStamp(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "\x7fELF" {
		return ""
	}
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d %s", info.Size(), info.ModTime().UnixNano(), inode(info))
}

// wantsSubmodules tells whether the flake may have nix copy its submodules too (`inputs.self.submodules`).
func (s *session) wantsSubmodules() bool {
	text, err := os.ReadFile(filepath.Join(s.root, "flake.nix"))
	return err != nil || bytes.Contains(text, []byte("submodules"))
}

// unchanged tells whether the source is still what it was when the evaluation began: nix may have read either of two.
func (s *session) unchanged(ctx context.Context) bool {
	key, _ := s.fingerprint(ctx)
	return key == s.key
}
