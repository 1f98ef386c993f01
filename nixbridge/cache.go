package nixbridge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/stateward/stateward"
)

// Cache is the folder in which evaluations are kept, so that what has not changed is not evaluated again. Its entries
// are files of mode 0600, each named by the hash of everything that its content hangs on; a wrong or cut one is as good
// as none.
type Cache struct {
	// Dir is the private folder of an [Evaluator].
	Dir string
	// Limit is the size in bytes above which the entries that were not used for longest go; 0 means 256 MiB.
	Limit int64
}

// CacheEntry is one entry of a [Cache].
type CacheEntry struct {
	// Key is the hash that names the entry.
	Key string `json:"key"`
	// Host is empty for the list of a source's hosts.
	Host string `json:"host,omitempty"`
	// Source is the source, with the folder that it was in when the entry was made.
	Source string `json:"source"`
	// Nix is the version that evaluated it.
	Nix string `json:"nix"`
	// Size in bytes, on disk.
	Size int64 `json:"size"`
	// Used is when the entry was written or last read.
	Used time.Time `json:"used"`
}

const (
	cacheFormat  = "stateward-cache"
	cacheVersion = 3
	cacheLimit   = 256 << 20
)

// cacheHeader is the first line of an entry.
type cacheHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// SHA256 is that of all that follows the line.
	SHA256 string `json:"sha256"`
	Host   string `json:"host,omitempty"`
	Source string `json:"source"`
	Nix    string `json:"nix"`
}

var cacheName = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c *Cache) folder() string { return filepath.Join(c.Dir, "evaluations") }

// read returns an entry's content; ok is false where there is none that is whole.
func (c *Cache) read(key string) (body []byte, ok bool) {
	file := filepath.Join(c.folder(), key)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, false
	}
	_, body, ok = parseEntry(text)
	if ok {
		// Which entry goes first hangs on it; nothing else does.
		now := time.Now()
		_ = os.Chtimes(file, now, now)
	}
	return body, ok
}

func parseEntry(text []byte) (h cacheHeader, body []byte, ok bool) {
	line, body, found := bytes.Cut(text, []byte{'\n'})
	if !found || json.Unmarshal(line, &h) != nil || h.Format != cacheFormat || h.Version != cacheVersion {
		return h, nil, false
	}
	sum := sha256.Sum256(body)
	return h, body, h.SHA256 == hex.EncodeToString(sum[:])
}

// write keeps an entry: beside, synced, renamed.
func (c *Cache) write(key string, h cacheHeader, body []byte) (err error) {
	sum := sha256.Sum256(body)
	h.Format, h.Version, h.SHA256 = cacheFormat, cacheVersion, hex.EncodeToString(sum[:])
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.folder(), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.folder(), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(append(append(line, '\n'), body...)); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(c.folder(), key)); err != nil {
		return err
	}
	return c.shrink()
}

// shrink removes what was not used for longest, until three quarters of the limit are left.
func (c *Cache) shrink() error {
	limit := cmp.Or(c.Limit, cacheLimit)
	files, total, err := c.files()
	if err != nil || total <= limit {
		return err
	}
	for _, f := range files {
		if total <= limit*3/4 {
			break
		}
		if err := os.Remove(filepath.Join(c.folder(), f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= f.Size()
	}
	return nil
}

// files are the entries' files, that which was not used for longest first.
func (c *Cache) files() (files []fs.FileInfo, total int64, err error) {
	list, err := os.ReadDir(c.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for _, d := range list {
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || !cacheName.MatchString(d.Name()) {
			continue
		}
		files = append(files, info)
		total += info.Size()
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	return files, total, nil
}

// Entries lists what is kept, that which was used last first.
func (c *Cache) Entries() ([]CacheEntry, error) {
	files, _, err := c.files()
	if err != nil {
		return nil, &CacheError{c.Dir, err}
	}
	var entries []CacheEntry
	for _, f := range slices.Backward(files) {
		text, err := os.ReadFile(filepath.Join(c.folder(), f.Name()))
		if err != nil {
			continue
		}
		h, _, _ := parseEntry(text)
		entries = append(entries, CacheEntry{Key: f.Name(), Host: h.Host, Source: h.Source, Nix: h.Nix, Size: f.Size(), Used: f.ModTime()})
	}
	return entries, nil
}

// copies are what nix puts into the private folder: copies of flakes and of their inputs, and what it knows of them. Whole
// folders with common names are never removed: somebody may have named a folder that holds other things.
var copies = []string{"store/nix", "home/.cache", "home/.config", "home/.local", "home/.gitconfig"}

// Copies is the size in bytes of what lies in the folder beside the entries: copies of flakes and their inputs. A file that
// has several names is counted once.
func (c *Cache) Copies() (total int64, err error) {
	seen := map[string]bool{}
	for _, sub := range copies {
		err := filepath.WalkDir(filepath.Join(c.Dir, sub), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return ignoreMissing(err)
			}
			info, err := d.Info()
			if err != nil {
				return ignoreMissing(err)
			}
			if id := inode(info); id == "" || !seen[id] {
				seen[id] = true
				total += info.Size()
			}
			return nil
		})
		if err != nil {
			return 0, &CacheError{c.Dir, err}
		}
	}
	return total, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ErrInUse says that another process, or another goroutine, uses the private folder.
var ErrInUse = errors.New("another stateward is using it")

// ClearCopies removes the copies of flakes and their inputs, with all that they hold, and returns how many bytes these were. The
// error is [ErrInUse] where an evaluation is going on, or a *[CacheError].
func (c *Cache) ClearCopies() (freed int64, err error) {
	if !exists(filepath.Join(c.Dir, useName)) && !exists(filepath.Join(c.Dir, "evaluations")) && !exists(filepath.Join(c.Dir, "nix.json")) {
		return 0, nil // no Evaluator ever used it
	}
	alone, err := useAlone(c.Dir, func() error {
		if freed, err = c.Copies(); err != nil {
			return err
		}
		sweep(c.Dir)
		for _, sub := range copies {
			removeAll(filepath.Join(c.Dir, sub))
			if _, err := os.Lstat(filepath.Join(c.Dir, sub)); err == nil {
				return &CacheError{c.Dir, fmt.Errorf("%s cannot be removed", sub)}
			}
		}
		return nil
	})
	switch ce := (*CacheError)(nil); {
	case errors.As(err, &ce):
		return 0, err
	case err != nil:
		return 0, &CacheError{c.Dir, err}
	case !alone:
		return 0, ErrInUse
	}
	return freed, nil
}

// Clear removes all entries and returns how many there were. Nothing else in the folder is touched: for the copies of
// flakes and inputs there is [Cache.ClearCopies].
func (c *Cache) Clear() (n int, err error) {
	files, _, err := c.files()
	if err != nil {
		return 0, &CacheError{c.Dir, err}
	}
	for _, f := range files {
		if err := os.Remove(filepath.Join(c.folder(), f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, &CacheError{c.Dir, err}
		}
		n++
	}
	return n, nil
}

// CacheDir is the private folder that an [Evaluator] without one of its own uses; empty where the user has no cache folder.
func CacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "stateward")
}

// keep writes an entry, and tells where that fails: an evaluation that cannot be kept is as good.
func (s *session) keep(ctx context.Context, key string, h cacheHeader, body []byte) {
	if !s.unchanged(ctx) {
		s.progress(Event{Kind: EventUncached, Host: h.Host, Reason: "the flake changed meanwhile"})
		return
	}
	h.Source, h.Nix = s.place(), s.version
	if err := s.cache.write(key, h, body); err != nil {
		s.progress(Event{Kind: EventUncached, Host: h.Host, Reason: fmt.Sprintf("it cannot be written: %v", err)})
	}
}

// place is the source as anybody finds it, wherever they stand.
func (s *session) place() string {
	if s.root == "" {
		return s.src.shown()
	}
	if len(s.src.Attr) > 0 {
		return s.root + "#" + stateward.OptionPath(s.src.Attr...)
	}
	return s.root
}

// cachedHosts are the names of the hosts, from the cache.
func (s *session) cachedHosts() ([]hostPlace, bool) {
	if s.key == "" {
		return nil, false
	}
	body, ok := s.cache.read(s.entryKey("hosts", s.src.Attr))
	if !ok {
		return nil, false
	}
	var list []cachedPlace
	if json.Unmarshal(body, &list) != nil || len(list) == 0 {
		return nil, false
	}
	// As [session.list] says of a flake.
	s.limited = len(s.src.Attr) > 0
	var hosts []hostPlace
	for _, p := range list {
		hosts = append(hosts, hostPlace{p.Name, p.Path})
	}
	return hosts, true
}

type cachedPlace struct {
	Name string   `json:"name"`
	Path []string `json:"path"`
}

func (s *session) keepHosts(ctx context.Context, hosts []hostPlace) {
	if s.key == "" {
		return
	}
	var list []cachedPlace
	for _, h := range hosts {
		list = append(list, cachedPlace{h.name, h.path})
	}
	body, err := json.Marshal(list)
	if err == nil {
		s.keep(ctx, s.entryKey("hosts", s.src.Attr), cacheHeader{}, body)
	}
}

// cachedHost is a host's evaluation, from the cache.
func (s *session) cachedHost(h hostPlace) (*HostEvaluation, bool) {
	if s.key == "" {
		return nil, false
	}
	body, ok := s.cache.read(s.entryKey("host", h.path))
	if !ok {
		return nil, false
	}
	ev, err := readEvaluation(bytes.NewReader(body), maxSaved)
	if err != nil || len(ev.Hosts) != 1 || ev.Hosts[0].Name != h.name || ev.Hosts[0].Err != nil {
		return nil, false
	}
	he := ev.Hosts[0]
	he.Source = s.src.Host(h.name)
	return he, true
}

func (s *session) keepHost(ctx context.Context, h hostPlace, he *HostEvaluation) {
	if s.key == "" {
		return
	}
	reason := he.transient
	if he.Err != nil {
		reason = "it failed"
	}
	if reason != "" {
		s.progress(Event{Kind: EventUncached, Host: h.name, Reason: reason})
		return
	}
	var b bytes.Buffer
	ev := &Evaluation{Nix: s.version, Source: s.src.shown(), Hosts: []*HostEvaluation{he}}
	if ev.Write(&b) == nil {
		s.keep(ctx, s.entryKey("host", h.path), cacheHeader{Host: h.name}, b.Bytes())
	}
}
