package nixbridge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	// nixComment is a comment of a flake.nix that begins a line: enough to leave out inputs that are commented out.
	nixComment = regexp.MustCompile(`(?m)^\s*#.*$`)
	// inputAddress finds what flake.nix has as the address of an input: `NAME.url = "…"`, or `NAME = { url = "…"`.
	inputAddress = regexp.MustCompile(`(?:inputs\.)?([A-Za-z_][\w'-]*)(?:\.url\s*=|\s*=\s*\{[^{}]*?\burl\s*=)\s*"([^"]+)"`)
	// inputSet begins the set of all inputs, outputSet what is none.
	inputSet     = regexp.MustCompile(`\binputs\s*=\s*\{`)
	outputSet    = regexp.MustCompile(`(?m)^\s*\{?\s*outputs\s*=`)
	registryMiss = regexp.MustCompile(`cannot find flake '(?:flake:)?([\w-]+)'`)
	// onMachine is an address of what needs no network.
	onMachine = regexp.MustCompile(`^(?:[./]|path:|(?:git\+|hg\+|tarball\+|file\+)?file:)`)
	// addressHead is what an address may begin with and nix' message about it need not.
	addressHead = regexp.MustCompile(`^(?:github:|gitlab:|sourcehut:~?|git\+|tarball\+|file\+|hg\+)`)
)

// unlockedInputs names the inputs that nix looked for anew because flake.lock does not pin them: the one that said names, or all where it
// names none. It is none where each is pinned, or taken from elsewhere.
func (s *session) unlockedInputs(said string) []string {
	if s.src.Kind != FlakeSource || s.root == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.root, "flake.nix"))
	if err != nil {
		return nil
	}
	pinned := map[string]bool{}
	for _, o := range s.overrides {
		pinned[o.Name] = true
	}
	if lock, err := os.ReadFile(filepath.Join(s.root, "flake.lock")); err == nil {
		var l struct {
			Root  string `json:"root"`
			Nodes map[string]struct {
				Inputs map[string]any `json:"inputs"`
			} `json:"nodes"`
		}
		if json.Unmarshal(lock, &l) != nil {
			return nil
		}
		for name := range l.Nodes[l.Root].Inputs {
			pinned[name] = true
		}
	}
	return unlockedIn(string(text), pinned, said)
}

// unlockedIn is unlockedInputs for the text of a flake.nix.
func unlockedIn(flake string, pinned map[string]bool, said string) []string {
	if m := registryMiss.FindStringSubmatch(said); m != nil && !pinned[m[1]] {
		return []string{m[1]}
	}
	var all, named []string
	flake = nixComment.ReplaceAllString(flake, "")
	if i := outputSet.FindStringIndex(flake); i != nil {
		flake = flake[:i[0]] // an address there is of something else
	}
	for _, m := range inputAddress.FindAllStringSubmatch(inputSet.ReplaceAllString(flake, ""), -1) {
		name, address := m[1], m[2]
		if pinned[name] || slices.Contains(all, name) || onMachine.MatchString(address) {
			continue
		}
		all = append(all, name)
		mark, _, _ := strings.Cut(addressHead.ReplaceAllString(address, ""), "?")
		if strings.HasPrefix(address, "github:") || strings.HasPrefix(address, "gitlab:") {
			// A branch or revision may follow.
			if parts := strings.Split(mark, "/"); len(parts) > 2 {
				mark = strings.Join(parts[:2], "/")
			}
		}
		if strings.Contains(mark, "/") && strings.Contains(said, mark) {
			named = append(named, name)
		}
	}
	if len(named) > 0 {
		return named
	}
	return all
}
