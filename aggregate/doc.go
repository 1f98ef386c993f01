// Package aggregate looks at a host as a whole: which paths its enabled services
// need persisted ([Collect], [Resolve]), which of their state survives what
// ([Survival]), and what is wrong ([Lint]).
//
// Everything here is a pure function of its arguments: no file, process or
// clock is touched, and the same host gives the same bytes whatever order its
// parts come in.
package aggregate
