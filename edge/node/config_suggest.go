package node

// didYouMean is ` (did you mean "x"?)` with the candidate nearest to word, or
// "" when none is near enough to be a slip of the hand.
func didYouMean(word string, candidates []string) string {
	if near := nearest(word, candidates); near != "" {
		return ` (did you mean "` + near + `"?)`
	}
	return ""
}

// Nearest returns the key path nearest to word, for unknown flags; "" when
// none is near.
func Nearest(word string) string {
	return nearest(word, paths(Keys()))
}

func paths(keys []Key) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.Path
	}
	return all
}

// nearest allows one edit per three bytes, and always one: enough for a
// swapped or missing letter, too little for another word.
func nearest(word string, candidates []string) string {
	best, least := "", max(len(word)/3, 1)+1
	for _, c := range candidates {
		if d := editDistance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// editDistance is Levenshtein's: the fewest insertions, deletions and
// substitutions of bytes that make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
