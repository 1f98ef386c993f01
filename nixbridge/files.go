package nixbridge

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stateward/stateward/internal/redact"
)

var sourcePath = regexp.MustCompile(`^(/nix/store/([a-z0-9]{32})-source)(?:/(.*))?$`)

// relative prints a file of the source relative to the flake's folder; for a
// .nix file, to the repository that it lies in, or else to its folder. Other files stay as they are.
func (s *session) relative(file string) string {
	if file == "" {
		return ""
	}
	if v, ok := s.files.Load(file); ok {
		return v.(string)
	}
	out := s.relativeFile(file)
	s.files.Store(file, out)
	return out
}

func (s *session) relativeFile(file string) string {
	file = strings.TrimPrefix(file, s.store())
	if m := sourcePath.FindStringSubmatch(file); m != nil && s.src.Kind == FlakeSource {
		for _, in := range s.inputs {
			if in.storePath == m[1] {
				return file
			}
		}
		if s.repo == "" {
			// A flake that was fetched: its own tree is the one that is no input of its lock file.
			if len(s.inputs) > 0 || s.root == "" {
				return m[3]
			}
			return file
		}
		// Other sources have such names too; ours holds the same files as the folder.
		local := filepath.Join(s.repo, m[3])
		if _, err := os.Stat(local); err != nil {
			return file
		}
		file = local
	}
	if s.root == "" {
		return file
	}
	if rel, err := filepath.Rel(s.root, file); err == nil && (rel != "." || s.src.Kind == FlakeSource) && (filepath.IsLocal(rel) || s.repo != "" && within(s.repo, file)) {
		return rel
	}
	return file
}

func within(dir, file string) bool {
	rel, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(rel)
}

var sourceInText = regexp.MustCompile(`/nix/store/[a-z0-9]{32}-source(?:/[A-Za-z0-9._+/=-]*)?`)

// relativeText does the same with the files that a message names, and leaves out what looks like a secret.
func (s *session) relativeText(text string) string {
	text = redact.Message(text)
	text = strings.ReplaceAll(text, s.store()+"/nix/store/", "/nix/store/")
	return sourceInText.ReplaceAllStringFunc(text, s.relative)
}

// ownFolder is the flake's own folder in the store, if a value of a host names something in it.
func (s *session) ownFolder(hosts []*HostEvaluation) (folder string) {
	for _, h := range hosts {
		for i := range h.tree.Len() {
			_, d := h.tree.Index(i)
			d.Get("sections").Texts(func(text string) bool {
				if strings.Contains(text, "-source") {
					folder = s.ownFolderIn(text)
				}
				return folder == ""
			})
			if folder != "" {
				return folder
			}
		}
	}
	return ""
}

func (s *session) ownFolderIn(text string) string {
	for _, file := range sourceInText.FindAllString(text, -1) {
		file = strings.TrimSuffix(file, "/")
		rel := s.relative(file)
		if rel == "." {
			return file
		}
		if dir, ok := strings.CutSuffix(file, "/"+rel); ok && filepath.IsLocal(rel) {
			return dir
		}
	}
	return ""
}
