package text

// Nearest is the known word that a mistyped one was meant to be; empty where none is like it.
func Nearest(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := Distance(word, k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// Distance counts the letters to add, remove or replace.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
