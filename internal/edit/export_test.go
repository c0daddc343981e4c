package edit

import "math/rand/v2"

// RandomFile is the cluster file after some edits at random, and what they were.
func RandomFile(rnd *rand.Rand) (data []byte, log []string, err error) {
	w := &world{rnd: rnd}
	w.c = w.servers()
	for range 6 + rnd.IntN(14) {
		what, edit := w.edit()
		w.log = append(w.log, what)
		if err := w.try(edit); err != nil {
			return nil, w.log, err
		}
	}
	data, err = w.c.Marshal()
	return data, w.log, err
}
