package cli

import (
	"os"
	"path/filepath"

	"github.com/stateward/stateward/nixbridge"
)

// places finds the files of findings in the repository that people look at: theirs are named from the source's
// root, which may lie deeper.
type places struct {
	// base is the repository: GITHUB_WORKSPACE, else the one that holds the source, else the source's root.
	base string
	// roots are where a relative name may begin.
	roots []string
}

func newPlaces(env Env, src nixbridge.Source) places {
	var p places
	dir, root, ok := src.Folder()
	if !ok {
		// A file of something that was fetched is not here, even where one of its name is.
		return p
	}
	p.base = repositoryOf(dir)
	if ws := env.Getenv("GITHUB_WORKSPACE"); ws != "" {
		if rel, err := filepath.Rel(realPath(ws), realPath(dir)); err == nil && filepath.IsLocal(rel) {
			p.base = ws
		}
	}
	if root != "" {
		p.roots = []string{root}
		if p.base == "" {
			p.base = root
		}
		return p
	}
	// A saved evaluation does not tell where its flake was; it often lies beside.
	p.roots = []string{dir}
	if p.base == "" {
		p.base = dir
	} else if p.base != dir {
		p.roots = append(p.roots, p.base)
	}
	return p
}

// repositoryOf is the folder at or above dir that holds .git; empty where there is none.
func repositoryOf(dir string) string {
	for d := realPath(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return ""
		}
	}
}

// find returns the name of a file from the repository's root, with slashes; ok is false for one that is not there.
func (p places) find(file string) (name string, ok bool) {
	if file == "" || p.base == "" {
		return "", false
	}
	candidates := []string{file}
	if !filepath.IsAbs(file) {
		candidates = nil
		for _, r := range p.roots {
			candidates = append(candidates, filepath.Join(r, file))
		}
	}
	for _, c := range candidates {
		if st, err := os.Stat(c); err != nil || st.IsDir() {
			continue
		}
		if rel, err := filepath.Rel(realPath(p.base), realPath(c)); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel), true
		}
	}
	return "", false
}
