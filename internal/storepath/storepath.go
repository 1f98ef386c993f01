// Package storepath reads paths in a Nix store, and hashes in the forms that nix writes them in. It wraps go-nix, whose own
// parser leaves the folder of the store and the separators unchecked and knows nothing below a store object.
package storepath

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"
	"github.com/nix-community/go-nix/pkg/nixhash"
)

const (
	// Store is the folder of the store, unless nix was built for another one.
	Store = "/nix/store"
	// MaxName is the length of the longest name of a store object (nix, src/libstore/path.hh).
	MaxName = 211

	hashBytes = 20
	hashChars = 32
)

// Path is a place in a store: a store object, or what lies in one.
type Path struct {
	// Store is the folder of the store, Hash the 32 characters of nix' own base 32, Name what follows them.
	Store, Hash, Name string
	// Sub is what follows the object, without a slash in front; empty for the object itself.
	Sub string
}

// Error says why a text is no path in a store.
type Error struct{ Text, Reason string }

func (e *Error) Error() string { return fmt.Sprintf("%q is no store path: %s", e.Text, e.Reason) }

// Parse reads a path in [Store]. Doubled slashes and dots are resolved first, as in any path.
// The error is an *[Error].
func Parse(text string) (Path, error) { return ParseIn(Store, text) }

// ParseIn reads a path in the store whose folder is store, an absolute path.
func ParseIn(store, text string) (Path, error) {
	fail := func(format string, args ...any) (Path, error) {
		return Path{}, &Error{text, fmt.Sprintf(format, args...)}
	}
	if !path.IsAbs(store) {
		return fail("the store %q is no absolute path", store)
	}
	if !path.IsAbs(text) {
		return fail("it is not absolute")
	}
	store = path.Clean(store)
	rest, ok := strings.CutPrefix(path.Clean(text), strings.TrimSuffix(store, "/")+"/")
	if !ok || rest == "" {
		return fail("it is not in %s", store)
	}
	base, sub, _ := strings.Cut(rest, "/")
	if len(base) < hashChars+2 || base[hashChars] != '-' {
		return fail("it has no hash of %d characters, a dash and a name", hashChars)
	}
	hash, name := base[:hashChars], base[hashChars+1:]
	if err := nixbase32.ValidateString(hash); err != nil {
		return fail("%s is no hash: %v", hash, err)
	}
	if err := CheckName(name); err != nil {
		return fail("%v", err)
	}
	return Path{Store: store, Hash: hash, Name: name, Sub: sub}, nil
}

// String is the path as nix writes it.
func (p Path) String() string { return path.Join(p.Store, p.Hash+"-"+p.Name, p.Sub) }

// Object is the store object that the path is or lies in.
func (p Path) Object() Path {
	p.Sub = ""
	return p
}

// CheckName tells why a text cannot be the name of a store object; nil where it can. The rules are those of nix 2.20 and
// newer (src/libstore/path.cc); before, nix also took ".", ".." and names that begin with these and a dash.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("the name has %d characters, more than %d", len(name), MaxName)
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+-._?=", c) >= 0 {
			continue
		}
		return fmt.Errorf("the name has the character %q", c)
	}
	if first, _, _ := strings.Cut(name, "-"); first == "." || first == ".." {
		return fmt.Errorf("the name begins with %q and a dash, or is nothing else", first)
	}
	return nil
}

// Inside tells whether an absolute path lies in [Store], be it below something that nix put there or not. The
// store itself does not.
func Inside(text string) bool {
	return path.IsAbs(text) && strings.HasPrefix(path.Clean(text), Store+"/")
}

var hashed = regexp.MustCompile(`(/nix/store/)[0-9a-z]{32}(-|$|[^0-9a-zA-Z])`)

// ReplaceHashes puts something else in the place of the hash of every path in [Store] that a text names: it changes with
// whatever the object is made of.
func ReplaceHashes(text, with string) string {
	if !strings.Contains(text, Store+"/") {
		return text
	}
	return hashed.ReplaceAllString(text, "${1}"+strings.ReplaceAll(with, "$", "$$")+"${2}")
}

var found = regexp.MustCompile(`/nix/store/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+\-._?=]+(?:/[0-9a-zA-Z+\-._?=@:%,~/]*)?`)

// Find returns the places in [Store] that a text names, in order, each once. What lies below an object ends at the first
// character that shells and units treat apart.
func Find(text string) []Path {
	var out []Path
	seen := map[Path]bool{}
	for _, m := range found.FindAllString(text, -1) {
		p, err := Parse(m)
		if err == nil && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// SHA256 reads a SHA-256 hash as nix writes it: "sha256-BASE64" (SRI), "sha256:" with base 16, 32 or 64, or one of the
// three without a prefix.
func SHA256(text string) (*nixhash.Hash, error) {
	algorithm := nixhash.SHA256
	h, err := nixhash.ParseAny(text, &algorithm)
	// go-nix passes over line breaks in base 64.
	if err != nil || len(h.Digest()) != sha256.Size {
		return nil, fmt.Errorf("%q is no SHA-256", text)
	}
	return &h.Hash, nil
}

// Source is where nix stores a tree as `source`, by its NAR hash: an input of a flake (makeFixedOutputPath in nix,
// src/libstore/store-api.cc).
func Source(narHash *nixhash.Hash) Path {
	inner := sha256.Sum256([]byte("source:" + narHash.Format(nixhash.Base16, true) + ":" + Store + ":source"))
	return Path{Store: Store, Hash: nixbase32.EncodeToString(nixhash.CompressHash(inner[:], hashBytes)), Name: "source"}
}
