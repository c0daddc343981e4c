package verify

import "fmt"

// BenchHead are the columns of Bench: times in milliseconds, losses of a hundred, TCP in Mbit/s,
// there and back.
func BenchHead() []string {
	return []string{"NETWORK", "FROM", "TO", "P50 MS", "P90 MS", "P99 MS", "LOSS %", "TCP MBIT/S"}
}

// Bench is a line for each leg. The rate is that of the pair.
func Bench(legs []Tried) (rows [][]string) {
	rates := map[[3]string]float64{}
	for _, t := range legs {
		if rate := t.Rate(); rate > 0 {
			rates[[3]string{t.Network, min(t.From, t.To), max(t.From, t.To)}] = rate
		}
	}
	for _, t := range legs {
		row := []string{t.Network, t.From, t.To, "-", "-", "-", fmt.Sprintf("%.3g", 100*float64(t.Sent-t.Heard)/float64(max(t.Sent, 1))), "-"}
		if t.Leg.Echo.To.Is6() {
			row[2] += " (IPv6)"
		}
		if t.Heard > 0 {
			for i, trip := range []float64{t.Median.Seconds(), t.P90.Seconds(), t.P99.Seconds()} {
				row[3+i] = fmt.Sprintf("%.2f", 1000*trip)
			}
		}
		if rate := rates[[3]string{t.Network, min(t.From, t.To), max(t.From, t.To)}]; rate > 0 {
			row[7] = fmt.Sprintf("%.1f", rate/1e6)
		}
		rows = append(rows, row)
	}
	return rows
}
