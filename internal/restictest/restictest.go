// Package restictest gives tests an empty repository of restic that costs little to open. It is for tests only.
//
// restic derives the key of a repository at each start, and init measures first how dear that may be: half a second of the processor each
// time. The one here is as restic 0.18 made it, but for its keys, which are sealed with the smallest scrypt (N=2, r=1, p=1), one for each
// of Passwords. To make another one: open a file of keys/ with what it says of itself, seal its data (nonce, AES-256-CTR, Poly1305-AES; see
// "Keys, Encryption and MAC" in restic's doc/design.rst) with the key derived anew, and name the file by its SHA-256.
package restictest

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Passwords open it.
var Passwords = []string{"SECRET-CANARY", "a secret that nobody sees", "canary-7f3a91-password", "canary-5c02d8-password"}

//go:embed repository
var files embed.FS

// Make puts the repository where none is yet.
func Make(dir string) error {
	for _, name := range []string{"data", "index", "locks", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	repository, err := fs.Sub(files, "repository")
	return errors.Join(err, os.CopyFS(dir, repository))
}
