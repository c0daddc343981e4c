package view

// What commands print of several things as JSON: an object each, which can be given more fields
// later, as a list cannot.

// ServerList is what listservers prints.
type ServerList struct {
	Servers []Server `json:"servers"`
}

// NetworkList is what listnetworks prints.
type NetworkList struct {
	Networks []*Network `json:"networks"`
}

// SpeakerList is what showbgp prints of several servers.
type SpeakerList struct {
	Servers []SpeakerDoc `json:"servers"`
}

// GenerationList is what history prints.
type GenerationList struct {
	Generations []Generation `json:"generations"` // the present one last
}

// NetList is what listnet prints.
type NetList struct {
	Interfaces []Net `json:"interfaces"`
}
