package nixbridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/stateward/stateward/internal/run"
)

// open finds nix and makes the private folder ready. done ends what was opened.
func (e *Evaluator) open(ctx context.Context, src Source) (*session, func(), error) {
	if err := e.accept(src); err != nil {
		return nil, nil, err
	}
	dir, leave, err := e.folder()
	if err != nil {
		return nil, nil, err
	}
	s := &session{Evaluator: e, dir: dir, src: src, cache: Cache{Dir: dir}}
	s.env = s.baseEnv()
	if err = s.findNix(ctx); err == nil {
		err = s.settings(ctx)
	}
	if err == nil {
		err = s.findSource(ctx)
	}
	if err != nil {
		leave()
		return nil, nil, err
	}
	slots, leaveSlots := e.top().shared.join(func() *slots {
		return newSlots(memoryToShare(e.MaxMemory), cmp.Or(e.MaxHeap, e.MaxMemory), e.Workers, nil)
	}, s.readPeaks())
	s.slots = slots
	return s, func() {
		leaveSlots()
		leave()
	}, nil
}

// folder makes the private folder: for the user alone, since it holds copies of whole configurations.
// It is in use until leave is called; whatever earlier runs left there when they were killed is removed first, unless
// somebody else uses it.
func (e *Evaluator) folder() (dir string, leave func(), err error) {
	temporary := false
	dir = e.CacheDir
	if dir == "" {
		dir = CacheDir()
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "stateward-"); err != nil {
			return "", nil, &CacheError{os.TempDir(), err}
		}
		temporary = true
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, &CacheError{dir, err}
	}
	// nix resolves symbolic links in the name of its store, and refuses some.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, &CacheError{dir, err}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", nil, &CacheError{dir, err}
	}
	if err := ownFolder(dir); err != nil {
		return "", nil, &CacheError{dir, err}
	}
	for _, sub := range []string{"home/.config", "tmp", "store"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return "", nil, &CacheError{dir, err}
		}
	}
	unlock, err := useFolder(dir)
	if err != nil {
		return "", nil, &CacheError{dir, err}
	}
	return dir, func() {
		unlock()
		if temporary {
			removeAll(dir)
		}
	}, nil
}

// removeAll removes a folder with a nix store in it, whose own folders are read-only.
func removeAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// findSource finds what the source names on this machine and brings a flake's inputs.
func (s *session) findSource(ctx context.Context) error {
	if s.src.Kind == FileSource {
		file, err := filepath.Abs(s.src.Ref)
		if err != nil {
			return err
		}
		st, err := os.Stat(file)
		if err != nil {
			return cannotRead(s.src, err)
		}
		if st.IsDir() {
			return &SourceError{s.src.Arg, "is a folder", "name the .nix file in it", nil}
		}
		if !st.Mode().IsRegular() {
			return &SourceError{s.src.Arg, "is no regular file", "write what it holds to a file, and name that", nil}
		}
		s.ref = file
		// Files are named relative to the repository, as a reader of the message stands in it.
		s.root = filepath.Dir(file)
		if _, repo, _ := flakeRoot(s.root, ""); repo != "" {
			s.root = repo
		}
		return nil
	}
	dir, query, local := localDir(s.src.Ref)
	if !local {
		if !strings.Contains(s.src.Ref, ":") && !s.Online {
			return &SourceError{s.src.Arg, "is neither a folder nor a .nix or .json file here", "check the spelling; an entry of the flake registry needs --online", nil}
		}
		s.ref = s.src.Ref
		if err := s.findOverrides(ctx); err != nil {
			return err
		}
		return s.addInputs(ctx)
	}
	st, err := os.Stat(dir)
	if err != nil || !st.IsDir() {
		return &NotFlakeError{Ref: s.src.Ref, Missing: true}
	}
	values, _ := url.ParseQuery(query)
	if strings.HasPrefix(s.src.Ref, "git+file:") && (values.Has("ref") || values.Has("rev") || bareRepository(dir)) {
		return s.findCommit(ctx, dir, query, values)
	}
	root, repo, found := flakeRoot(dir, values.Get("dir"))
	if !found {
		return &NotFlakeError{Ref: s.src.Ref}
	}
	s.root, s.repo = root, repo
	if s.ref, err = flakeRef(s.src.Ref, dir, query, repo); err != nil {
		return err
	}
	if strings.HasPrefix(s.src.Ref, "path:") {
		s.repo = dir
	}
	if s.repo == "" {
		s.repo = root
	}
	if repo != "" {
		if err := s.trustRepositories(ctx); err != nil {
			return err
		}
	}
	if s.inputs, err = readLock(filepath.Join(root, "flake.lock")); err != nil {
		return err
	}
	if err := s.findOverrides(ctx); err != nil {
		return err
	}
	return s.addInputs(ctx)
}

// bareRepository tells whether a folder is a repository without a working tree.
func bareRepository(dir string) bool {
	return exists(filepath.Join(dir, "HEAD")) && exists(filepath.Join(dir, "objects")) && exists(filepath.Join(dir, "refs"))
}

// findCommit is findSource for a commit that need not be the one whose files lie in the folder, if any do: nothing is read from
// there, and the lock file is that of the commit.
func (s *session) findCommit(ctx context.Context, dir, query string, values url.Values) (err error) {
	if s.ref, err = flakeRef(s.src.Ref, dir, query, ""); err != nil {
		return err
	}
	if err := s.trustRepositories(ctx); err != nil {
		return err
	}
	commit := "HEAD"
	if ref := values.Get("ref"); ref != "" {
		commit = ref
	}
	if rev := values.Get("rev"); rev != "" {
		commit = rev
	}
	name := path.Join(".", values.Get("dir"), "flake.lock")
	r, err := run.Run(ctx, run.Cmd{Path: "git", Args: []string{"-C", dir, "cat-file", "blob", "--", commit + ":" + name}, Env: s.env, Dir: s.dir})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		if s.inputs, err = parseLock(r.Stdout); err != nil {
			return &LockFileError{name, err}
		}
	}
	// Without a lock file, or where git knows of no such commit, nix says what it needs.
	if err := s.findOverrides(ctx); err != nil {
		return err
	}
	return s.addInputs(ctx)
}

// flakeRef is a reference to a folder of this machine as nix takes it from anywhere: written is how it was given, repo the
// repository that the folder lies in, if any.
func flakeRef(written, dir, query, repo string) (string, error) {
	values, _ := url.ParseQuery(query)
	if query != "" {
		query = "?" + query
	}
	escaped := (&url.URL{Path: dir}).EscapedPath()
	switch {
	case strings.HasPrefix(written, "path:"):
		return "path:" + escaped + query, nil
	case strings.HasPrefix(written, "git+file:"):
		return "git+file://" + escaped + query, nil
	case escaped != dir && repo != "":
		// Of the characters that an address cannot hold nix takes few in a plain path, and 2.8 none.
		sub, err := filepath.Rel(repo, dir)
		if err != nil {
			return "", err
		}
		ref := "git+file://" + (&url.URL{Path: repo}).EscapedPath()
		if sub != "." && values.Get("dir") == "" {
			values.Set("dir", sub)
			query = "?" + strings.ReplaceAll(values.Encode(), "+", "%20")
		}
		return ref + query, nil
	case escaped != dir:
		return "path:" + escaped + query, nil
	}
	return dir + query, nil
}

// trustRepositories copies what the user said about repositories of others
// (safe.directory) into the private home, since git sees no other there.
func (s *session) trustRepositories(ctx context.Context) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	if x := os.Getenv("XDG_CONFIG_HOME"); x != "" {
		env = append(env, "XDG_CONFIG_HOME="+x)
	}
	r, err := run.Run(ctx, run.Cmd{Path: "git", Args: []string{"config", "--global", "--null", "--get-all", "safe.directory"}, Env: env, Dir: s.dir})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var b strings.Builder
	if err == nil {
		for dir := range strings.SplitSeq(strings.TrimSuffix(string(r.Stdout), "\x00"), "\x00") {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(dir)
			fmt.Fprintf(&b, "[safe]\n\tdirectory = \"%s\"\n", quoted)
		}
	}
	return s.replaceFile(filepath.Join(s.dir, "home/.gitconfig"), b.String())
}

func (s *session) replaceFile(path, text string) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == text || err != nil && text == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return &CacheError{s.dir, err}
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return &CacheError{s.dir, err}
	}
	return nil
}
