package nixbridge

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// SourceKind tells what a source is.
type SourceKind uint8

// The kinds of sources.
const (
	// FlakeSource is a flake reference; its hosts are `nixosConfigurations`.
	FlakeSource SourceKind = iota + 1
	// FileSource is a .nix file.
	FileSource
	// SavedSource is a saved evaluation.
	SavedSource
)

// Source says what is loaded. [ParseSource] makes one.
type Source struct {
	Kind SourceKind
	// Arg is the source as it was written.
	Arg string
	// Ref is the flake reference without its fragment, or the path of a file; "-" is standard input.
	Ref string
	// Attr is what follows "#": the host of a flake, or the attribute path within a .nix file.
	Attr []string
}

// SourceError says why a text names no source.
type SourceError struct {
	Arg, Reason, hint string
	err               error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("source %q %s", redact.Address(e.Arg), e.Reason)
}

// Unwrap is what the system said, where it was asked.
func (e *SourceError) Unwrap() error { return e.err }

// Hint says what to write instead.
func (e *SourceError) Hint() string { return e.hint }

// ParseSource reads a source as the command line takes it:
//
//   - a flake reference: ".", "./dir", "path:…", "git+file:…", "github:…"; with "#host" or
//     "#nixosConfigurations.host" that host only;
//   - "file.nix", with "#attr.path" to a set of hosts, to a set with `nixosConfigurations` or to one
//     evaluated host (what lib.nixosSystem returns);
//   - "file.json" or "-" (standard input): a saved evaluation.
//
// Where a file or folder with "#" in its name is there, that name is taken as such. Whether the source
// exists is only seen when it is loaded. The error is a *[SourceError].
func ParseSource(arg string) (Source, error) {
	ref, fragment, hasFragment := splitFragment(arg)
	s := Source{Arg: arg, Ref: ref}
	switch {
	case arg == "":
		return s, &SourceError{arg, "is empty", "write \".\" for the flake in this directory", nil}
	case strings.ContainsAny(arg, "\x00\n"):
		return s, &SourceError{arg, "contains a control character", "", nil}
	case ref == "-" || strings.HasSuffix(ref, ".json") && !strings.Contains(ref, ":"):
		s.Kind = SavedSource
		if hasFragment {
			return s, &SourceError{arg, "names a part of a saved evaluation", "choose hosts with --host", nil}
		}
		return s, nil
	case strings.HasPrefix(ref, "-"):
		return s, &SourceError{arg, "begins with a dash", "write ./" + ref, nil}
	case strings.HasSuffix(ref, ".nix") && !strings.Contains(ref, ":"):
		s.Kind = FileSource
	default:
		s.Kind = FlakeSource
		if ref == "" {
			s.Ref = "."
		}
		if info, err := os.Stat(ref); err == nil && !info.IsDir() {
			return s, &SourceError{arg, "is neither a folder nor a .nix or .json file", "give a saved evaluation another name, or pipe it in and write -", nil}
		}
	}
	if fragment == "" {
		return s, nil
	}
	if unescaped, err := url.PathUnescape(fragment); err == nil && s.Kind == FlakeSource {
		fragment = unescaped
	}
	path, err := dialect.SplitPath(fragment)
	if err != nil {
		return s, &SourceError{arg, "has a malformed attribute path: " + err.Error(), `write it as in Nix, such as nixosConfigurations."my.host"`, nil}
	}
	if s.Kind == FlakeSource {
		switch {
		case path[0] == "nixosConfigurations" && len(path) <= 2:
			path = path[1:]
		case path[0] == "nixosConfigurations":
			return s, &SourceError{arg, "leads into a host", "name the host only", nil}
		case !strings.Contains(fragment, `"`):
			// Host names may hold dots, and `.#my.host` can mean nothing else.
			path = []string{fragment}
		case len(path) > 1:
			return s, &SourceError{arg, "names no host", "write SOURCE#HOST", nil}
		}
	}
	s.Attr = path
	return s, nil
}

// splitFragment cuts an argument at its first "#", unless that is in the name of something that is there.
func splitFragment(arg string) (ref, fragment string, found bool) {
	ref, fragment, found = strings.Cut(arg, "#")
	if _, err := os.Stat(ref); !found || ref == "" || err == nil {
		return ref, fragment, found
	}
	for i := len(arg); i > len(ref); i = strings.LastIndexByte(arg[:i], '#') {
		if _, err := os.Stat(arg[:i]); err == nil {
			if i == len(arg) {
				return arg, "", false
			}
			return arg[:i], arg[i+1:], true
		}
	}
	return ref, fragment, found
}

// Host is the source of one host: ".#forge".
func (s Source) Host(name string) string {
	ref := redact.Address(s.Ref)
	switch s.Kind {
	case FlakeSource:
		return ref + "#" + stateward.OptionPath(name)
	case FileSource:
		if len(s.Attr) > 0 && s.Attr[len(s.Attr)-1] == name {
			return ref + "#" + stateward.OptionPath(s.Attr...)
		}
		return ref + "#" + stateward.OptionPath(append(slices.Clone(s.Attr), name)...)
	}
	return ref
}

// shown is the source as it was written, without a secret.
func (s Source) shown() string { return redact.Address(s.Arg) }

// Local is what of this machine the source is read from: the repository or folder that a flake or a .nix file lies in, or the file
// of a saved evaluation. ok is false for what has to be fetched, for what is not there, and for standard input.
func (s Source) Local() (path string, ok bool) {
	if s.Kind == SavedSource {
		_, err := os.Stat(s.Ref)
		return s.Ref, s.Ref != "-" && err == nil
	}
	dir, _, ok := s.Folder()
	if _, err := os.Stat(dir); !ok || err != nil {
		return "", false
	}
	if _, repo, _ := flakeRoot(dir, ""); repo != "" {
		return repo, true
	}
	return dir, true
}

// Folder is where the source lies on this machine: the folder of the flake.nix, of the .nix file or of the saved
// evaluation. root is what file names in findings are relative to; it is empty where that is not known, as for a saved
// evaluation. ok is false for standard input and for what has to be fetched.
func (s Source) Folder() (dir, root string, ok bool) {
	if s.Kind == FlakeSource {
		dir, query, local := localDir(s.Ref)
		if !local {
			return "", "", false
		}
		values, _ := url.ParseQuery(query)
		if root, _, found := flakeRoot(dir, values.Get("dir")); found {
			return root, root, true
		}
		return dir, dir, true
	}
	if s.Ref == "-" {
		return "", "", false
	}
	file, err := filepath.Abs(s.Ref)
	if err != nil {
		return "", "", false
	}
	if s.Kind == SavedSource {
		return filepath.Dir(file), "", true
	}
	dir = filepath.Dir(file)
	if _, repo, _ := flakeRoot(dir, ""); repo != "" {
		return dir, repo, true
	}
	return dir, dir, true
}

// openSaved opens a saved evaluation.
func openSaved(src Source) (*os.File, error) {
	st, err := os.Stat(src.Ref)
	if err != nil {
		return nil, cannotRead(src, err)
	}
	if st.IsDir() {
		return nil, &SourceError{src.Arg, "is a folder", "name a file that `stateward eval -o FILE` wrote, or the flake's folder with another name", nil}
	}
	f, err := os.Open(src.Ref)
	if err != nil {
		return nil, cannotRead(src, err)
	}
	return f, nil
}

// cannotRead says of a file that it is not there, or what else the system said of it.
func cannotRead(src Source, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &SourceError{src.Arg, "is not there", "check the spelling; it is looked for from the current folder", err}
	}
	reason := err.Error()
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		reason = pe.Err.Error()
	}
	return &SourceError{src.Arg, "cannot be read: " + reason, "check that the file can be read by you", err}
}

// localDir is the directory that a flake reference names on this machine; ok is
// false for one that has to be fetched. Query parameters are returned apart.
func localDir(ref string) (dir, query string, ok bool) {
	path, query, _ := strings.Cut(ref, "?")
	for _, scheme := range []string{"path:", "git+file://", "git+file:"} {
		if rest, found := strings.CutPrefix(path, scheme); found {
			if unescaped, err := url.PathUnescape(rest); err == nil {
				rest = unescaped
			}
			path, ok = rest, true
			break
		}
	}
	if !ok {
		switch {
		case strings.HasPrefix(path, "/"), strings.HasPrefix(path, "."):
			ok = true
		case strings.Contains(path, ":"):
		default:
			// A plain name is an entry of the flake registry, unless it is a folder here.
			st, err := os.Stat(path)
			ok = err == nil && st.IsDir()
		}
	}
	if !ok {
		return "", query, false
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", query, false
	}
	// nix refuses a folder that is a symbolic link, as /etc/nixos often is.
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	return abs, query, true
}

// flakeRoot is the folder of the flake.nix that nix finds for dir: it searches
// upwards and stops at the repository's root. The second result is that root, if any.
func flakeRoot(dir, sub string) (root, repo string, found bool) {
	for d := filepath.Join(dir, sub); ; d = filepath.Dir(d) {
		if !found {
			if st, err := os.Stat(filepath.Join(d, "flake.nix")); err == nil && !st.IsDir() {
				root, found = d, true
			}
		}
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return root, d, found
		}
		if d == filepath.Dir(d) {
			return root, "", found
		}
	}
}
