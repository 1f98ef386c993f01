// Package pitr holds the pure part of point-in-time recovery of PostgreSQL: names and arithmetic of the write-ahead log, what an archive
// can be recovered to, and the plan of one recovery. It starts nothing and reads no file: what the tools and the archive say comes in as
// arguments.
package pitr
