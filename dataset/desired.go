package dataset

import "github.com/stateward/stateward"

// Role is what a declared dataset is there for.
type Role string

// The roles.
const (
	// Service holds the data of a service.
	Service Role = "service"
	// Utility is any other dataset that the configuration asks for by its full name.
	Utility Role = "utility"
	// Container only holds others: mountpoint=none, canmount=off. One that no declaration names, but that a declared
	// dataset needs above it, is made too, unless it is there.
	Container Role = "container"
	// Foreign is another's to make and to change: disko's, or one of `fileSystems`. It is known, and never touched.
	Foreign Role = "foreign"
)

// Desired are the datasets that a configuration wants, in the order of [CompareName]; none is named twice.
type Desired struct {
	Datasets []Wanted
}

// Wanted is one dataset that a configuration wants.
type Wanted struct {
	Name Name
	Role Role
	// Settings are the properties that the configuration gives it, in the order of their names, `mountpoint` and `canmount`
	// among them. What is not given is left as it is.
	Settings []Setting
	// Owner, Group and Mode are those of the directory at the top of the mounted file system; unset where not given.
	Owner stateward.Owner
	Group stateward.Owner
	Mode  stateward.Mode
	// Service is the name of the service whose data it holds; empty for none.
	Service string
	Origin  stateward.Origin
}
