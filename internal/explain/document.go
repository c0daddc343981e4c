package explain

// Document is a network as commands, as JSON has it.
type Document struct {
	Network string           `json:"network"`
	Type    string           `json:"type"`
	Servers []documentServer `json:"servers"`
}

type documentServer struct {
	Server string         `json:"server"`
	Build  []documentStep `json:"build"`
	Undo   []documentStep `json:"undo"`
}

type documentStep struct {
	About    string   `json:"about"`
	Commands []string `json:"commands"`
}

// DocumentOf is the document of a network of a type, of its scripts on servers.
func DocumentOf(name, kind string, scripts []*Script) Document {
	steps := func(list []Step) []documentStep {
		out := []documentStep{}
		for _, s := range list {
			out = append(out, documentStep{s.About, append([]string{}, s.Commands...)})
		}
		return out
	}
	doc := Document{Network: name, Type: kind, Servers: []documentServer{}}
	for _, s := range scripts {
		doc.Servers = append(doc.Servers, documentServer{s.Server, steps(s.Build), steps(s.Undo)})
	}
	return doc
}
