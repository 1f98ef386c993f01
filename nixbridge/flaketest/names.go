package flaketest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// maxName bounds the name of a folder; file systems take 255 bytes.
const maxName = 200

// folderName is the folder of a host. A plain name stays as it is; what could lead elsewhere, hide, or be another name on
// another file system is written as %XX. No two hosts have one folder.
func folderName(host string) string {
	var b strings.Builder
	for i := range len(host) {
		c := host[i]
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	name := b.String()
	switch {
	case name == "":
		return "%"
	case len(name) > maxName:
		sum := sha256.Sum256([]byte(host))
		return name[:maxName-34] + "%+" + hex.EncodeToString(sum[:16])
	}
	return name
}

// hostName is the host whose folder it is, as far as the name tells.
func hostName(folder string) string {
	if host, err := url.PathUnescape(folder); err == nil {
		return host
	}
	return folder
}
