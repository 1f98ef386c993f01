package capture

import (
	"encoding/json"
)

// jsonHints are the values that `zfs get -j` prints, since 2.3 (zprop_collect_property of libzfs_util.c), by dataset and property.
//
// They are not taken as they are: JSON leaves out letters beyond U+FFFF, ends in the middle, with status 0, where a value
// is no UTF-8, and has no received value that a local one hides. But where the text that zfs prints can be read in two ways, JSON tells which, if
// its value is there to the byte.
type jsonHints map[string]struct {
	Properties map[string]struct {
		Value string `json:"value"`
	} `json:"properties"`
}

// parseJSON reads `zfs get -jp all`. What is no such JSON, or is not complete, gives no hints.
func parseJSON(out []byte) jsonHints {
	var got struct {
		Version struct {
			Command string `json:"command"`
			Major   int    `json:"vers_major"`
		} `json:"output_version"`
		Datasets jsonHints `json:"datasets"`
	}
	if json.Unmarshal(out, &got) != nil || got.Version.Command != "zfs get" || got.Version.Major != 0 {
		return nil
	}
	return got.Datasets
}

// begins is what the text of a property begins with after its name: its value. It is empty where that is not known.
func (h jsonHints) begins(key [2]string) string {
	if p, ok := h[key[0]].Properties[key[1]]; ok {
		return p.Value + "\t"
	}
	return ""
}
