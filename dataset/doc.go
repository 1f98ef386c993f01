// Package dataset plans ZFS datasets: what a configuration declares is parsed, compared with what a pool has, and turned
// into a [Plan] of typed operations that never destroy anything. Nothing here starts a process or reads a file.
//
// Names, properties and their values follow OpenZFS 2.3: zfs(8), zfsprops(7), and module/zcommon/zfs_prop.c and
// zfs_namecheck.c of its source.
package dataset
