package dataset

import "fmt"

// The attributes of zfs_prop.c.
const (
	inherit     = "inherit"     // PROP_INHERIT
	own         = "default"     // PROP_DEFAULT: settable, not inherited
	onetime     = "onetime"     // PROP_ONETIME: at creation, shown as inherited
	onetimeOwn  = "onetime-own" // PROP_ONETIME_DEFAULT: at creation, not inherited
	readonly    = "readonly"    // PROP_READONLY
	fs          = Filesystem    //
	vol         = Filesystem | Volume
	fsSnap      = Filesystem | Snapshot
	all         = Filesystem | Volume | Snapshot
	maxBlock    = Size(16 << 20) // SPA_MAXBLOCKSIZE
	minBlock    = Size(512)      // SPA_MINBLOCKSIZE
	noBoundSize = "0"
)

// native is the table of module/zcommon/zfs_prop.c, OpenZFS 2.3, without what only a snapshot has and what is hidden.
var native = natives()

// shortNames are the columns that zfs takes as names too (zprop_name_to_prop looks at pd_colname).
var shortNames = map[string]string{
	"avail": "available", "refer": "referenced", "ratio": "compressratio", "compress": "compression", "recsize": "recordsize",
	"rdonly": "readonly", "reserv": "reservation", "refreserv": "refreservation", "volblock": "volblocksize", "case": "casesensitivity",
}

// quotas are the prefixes of zfs_userquota_prop_prefixes that can be set.
var quotas = map[string]Kind{
	"userquota": Bytes, "groupquota": Bytes, "projectquota": Bytes,
	"userobjquota": Number, "groupobjquota": Number, "projectobjquota": Number,
}

func natives() map[string]*Property {
	m := map[string]*Property{}
	add := func(attr string, types Types, kind Kind, def string, values []string, names ...string) {
		for _, name := range names {
			m[name] = &Property{
				Name: name, Kind: kind, Values: values, Default: def, Types: types,
				Inherited:  attr == inherit || attr == onetime,
				CreateOnly: attr == onetime || attr == onetimeOwn,
				ReadOnly:   attr == readonly,
			}
		}
	}
	words := func(attr string, types Types, name, def string, values ...string) {
		add(attr, types, Words, def, values, name)
	}
	onOff := []string{"on", "off"}
	none := []string{"none"}

	words(inherit, vol, "redundant_metadata", "all", "all", "most", "some", "none")
	words(inherit, vol, "sync", "standard", "standard", "always", "disabled")
	words(inherit, vol, "checksum", "on", "on", "off", "fletcher2", "fletcher4", "sha256", "noparity", "sha512", "skein", "edonr", "blake3")
	words(inherit, vol, "dedup", "off", "on", "off", "verify", "sha256", "sha256,verify", "sha512", "sha512,verify", "skein", "skein,verify",
		"edonr,verify", "blake3", "blake3,verify")
	words(inherit, vol, "compression", "on", compressions()...)
	words(inherit, fs, "snapdir", "hidden", "hidden", "visible", "disabled")
	words(inherit, vol, "snapdev", "hidden", "hidden", "visible")
	words(inherit, fs, "aclmode", "discard", "discard", "groupmask", "passthrough", "restricted")
	words(inherit, fsSnap, "acltype", "off", "off", "posix", "nfsv4")
	words(inherit, fs, "aclinherit", "restricted", "discard", "noallow", "restricted", "passthrough", "passthrough-x")
	words(inherit, vol, "copies", "1", "1", "2", "3")
	words(inherit, all, "primarycache", "all", "all", "none", "metadata")
	words(inherit, all, "secondarycache", "all", "all", "none", "metadata")
	words(inherit, all, "prefetch", "all", "all", "none", "metadata")
	words(inherit, vol, "logbias", "latency", "latency", "throughput")
	words(inherit, fsSnap, "xattr", "on", "off", "on", "dir")
	words(inherit, fs, "dnodesize", "legacy", "legacy", "auto", "1k", "2k", "4k", "8k", "16k")
	words(inherit, vol, "volmode", "default", "default", "full", "dev", "none")
	words(inherit, fs, "direct", "standard", "disabled", "standard", "always")

	add(inherit, fs, Boolean, "on", onOff, "atime", "relatime", "overlay")
	add(inherit, fsSnap, Boolean, "on", onOff, "devices", "exec", "setuid")
	add(inherit, vol, Boolean, "off", onOff, "readonly")
	add(inherit, fs, Boolean, "off", onOff, "zoned", "vscan", "longname")
	add(inherit, fsSnap, Boolean, "off", onOff, "nbmand")
	words(own, fsSnap, "version", "", "1", "2", "3", "4", "5")
	words(own, fs, "canmount", "on", "on", "off", "noauto")
	add(own, Volume, Boolean, "on", onOff, "volthreading")

	words(onetime, fsSnap, "normalization", "none", "none", "formD", "formKC", "formC", "formKD")
	words(onetime, fsSnap, "casesensitivity", "sensitive", "sensitive", "insensitive", "mixed")
	words(onetimeOwn, vol, "keyformat", "none", "none", "raw", "hex", "passphrase")
	words(onetime, all, "encryption", "off", "off", "aes-128-ccm", "aes-192-ccm", "aes-256-ccm", "aes-128-gcm", "aes-192-gcm", "aes-256-gcm")
	add(onetime, fsSnap, Boolean, "off", onOff, "utf8only")
	add(onetime, Volume, Bytes, "16384", nil, "volblocksize")
	add(onetimeOwn, vol, Number, "0", nil, "pbkdf2iters")

	add(inherit, fs, Text, "", nil, "mountpoint")
	add(inherit, fs, Text, "off", nil, "sharenfs", "sharesmb")
	add(inherit, all, Text, "none", nil, "mlslabel")
	add(own, all, Text, "none", nil, "context", "fscontext", "defcontext", "rootcontext")
	add(own, vol, Text, "none", nil, "keylocation")

	add(inherit, fs, Bytes, "131072", nil, "recordsize")
	add(inherit, fs, Bytes, "0", []string{"0"}, "special_small_blocks")
	add(own, fs, Bytes, noBoundSize, none, "quota", "refquota")
	add(own, vol, Bytes, noBoundSize, none, "reservation")
	add(own, vol, Bytes, noBoundSize, []string{"none", "auto"}, "refreservation")
	add(own, Volume|Snapshot, Bytes, "", nil, "volsize")
	add(own, fs, Number, "none", none, "filesystem_limit")
	add(own, vol, Number, "none", none, "snapshot_limit")

	add(readonly, vol, Text, "", nil, "origin", "receive_resume_token")
	add(readonly, all, Text, "", nil, "type", "encryptionroot", "redact_snaps", "creation", "snapshots_changed", "mounted", "keystatus")
	add(readonly, all, Number, "", nil, "guid", "createtxg", "objsetid", "filesystem_count", "snapshot_count", "compressratio", "refcompressratio")
	add(readonly, all, Bytes, "", nil, "used", "available", "referenced", "written", "logicalused", "logicalreferenced", "usedbysnapshots",
		"usedbydataset", "usedbychildren", "usedbyrefreservation")

	for name, p := range m {
		switch name {
		case "recordsize", "volblocksize":
			p.min, p.max, p.power = minBlock, maxBlock, true
		case "special_small_blocks":
			p.min, p.max, p.power = minBlock, 1<<20, true
		case "compression":
			p.aliases = map[string]string{"gzip-6": "gzip", "zstd-fast-1": "zstd-fast"}
		case "encryption":
			p.aliases = map[string]string{"on": "aes-256-gcm"}
		case "version":
			p.aliases = map[string]string{"current": "5"}
		case "xattr":
			p.aliases = map[string]string{"sa": "on"} // since 2.3; before, "on" was "dir"
		case "acltype":
			p.aliases = map[string]string{"disabled": "off", "noacl": "off", "posixacl": "posix"}
		case "aclinherit":
			p.aliases = map[string]string{"secure": "restricted"}
		case "volmode":
			p.aliases = map[string]string{"geom": "full"}
		}
	}
	return m
}

// compressions are compress_table's words.
func compressions() []string {
	list := []string{"on", "off", "lz4", "lzjb", "zle", "gzip"}
	for _, i := range []int{1, 2, 3, 4, 5, 7, 8, 9} { // gzip is gzip-6
		list = append(list, fmt.Sprintf("gzip-%d", i))
	}
	list = append(list, "zstd")
	for i := 1; i <= 19; i++ {
		list = append(list, fmt.Sprintf("zstd-%d", i))
	}
	list = append(list, "zstd-fast")
	for _, i := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 500, 1000} {
		list = append(list, fmt.Sprintf("zstd-fast-%d", i))
	}
	return list
}
