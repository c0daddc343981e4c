package verify

// Bulk data loads servers and lines: it is sent between few at once.
const (
	bulkAll  = 12 // members of a network between all of whom data is sent
	bulkOnce = 2  // of how many tests a server has part at one time; of one where it counts how fast they are
)

// Bulks are the legs, as indexes, on which data is sent: one way of each pair (data goes there
// and back), by the first family that answers. Of a network with many members each has two, all
// in one ring, unless all is set. They come in rounds: no server has part in more than most tests
// of one round.
func Bulks(legs []Tried, all bool, most int) [][]int {
	members, place := map[string]int{}, map[[2]string]int{}
	for _, t := range legs {
		at := [2]string{t.Network, t.From}
		if _, known := place[at]; !known {
			place[at] = members[t.Network]
			members[t.Network]++
		}
	}
	next := func(t Tried) bool {
		n := members[t.Network]
		d := (place[[2]string{t.Network, t.To}] - place[[2]string{t.Network, t.From}] + n) % n
		return all || n <= bulkAll || d == 1 || d == n-1
	}
	type pair struct{ network, one, other string }
	had := map[pair]bool{}
	var left []int
	for i, t := range legs {
		p := pair{t.Network, min(t.From, t.To), max(t.From, t.To)}
		if t.State() != Lost && !had[p] && next(t) {
			had[p] = true
			left = append(left, i)
		}
	}
	var rounds [][]int
	for len(left) > 0 {
		busy := map[string]int{}
		var round, later []int
		for _, i := range left {
			from, to := legs[i].From, legs[i].To
			if busy[from] == most || busy[to] == most {
				later = append(later, i)
				continue
			}
			busy[from]++
			busy[to]++
			round = append(round, i)
		}
		rounds, left = append(rounds, round), later
	}
	return rounds
}
