package keygroup

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The golden file was written by Flink's and Beam's own classes. Its lines are a key's type, the key, the maximum
// parallelism, the key's group, and the group's subtasks at parallelism 1, 2, … 16. Package flink's
// TestPlacementAgreesWithFlink compares it with the classes again, and rewrites it.
func TestPlacementAgreesWithFlinksOwn(t *testing.T) {
	f, err := os.Open("testdata/keygroups.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	lines := 0
	for sc := bufio.NewScanner(f); sc.Scan(); lines++ {
		field := strings.Split(sc.Text(), "\t")
		if len(field) != 5 {
			t.Fatalf("line %d: %q", lines+1, sc.Text())
		}
		encoded := String(field[1])
		if field[0] == "int64" {
			encoded = Int64(int64(number(field[1])))
		}
		maxParallelism, want := number(field[2]), number(field[3])
		got := KeyGroup(encoded, maxParallelism)
		if got != want {
			t.Errorf("%s %q of %d: group %d, Flink has %d", field[0], field[1], maxParallelism, got, want)
		}
		for i, subtask := range strings.Split(field[4], ",") {
			if got, want := Subtask(got, maxParallelism, i+1), number(subtask); got != want {
				t.Errorf("%s %q of %d: subtask %d of %d, Flink has %d", field[0], field[1], maxParallelism, got, i+1, want)
			}
		}
	}
	if lines < 1000 {
		t.Fatalf("%d golden lines, want 1000 or more", lines)
	}
}

func TestEvenKeysFallIntoTheirGroups(t *testing.T) {
	for _, maxParallelism := range []int{1, 7, 128, 4096} {
		for _, n := range []int{1, 2, 3, 5, 8, 16, 100, 128, 300} {
			t.Run(fmt.Sprintf("%d keys of %d groups", n, maxParallelism), func(t *testing.T) {
				keys := EvenKeys(n, maxParallelism)
				if len(keys) != n {
					t.Fatalf("%d keys", len(keys))
				}
				seen := map[int64]bool{}
				for i, k := range keys {
					if seen[k] {
						t.Errorf("key %d comes twice", k)
					}
					seen[k] = true
					if got, want := KeyGroup(Int64(k), maxParallelism), int((float64(i)+0.5)*float64(maxParallelism)/float64(n)); got != want {
						t.Errorf("key %d = %d: group %d, want %d", i, k, got, want)
					}
				}
			})
		}
	}
}

func TestEvenKeysSpreadOverSubtasksAtAnyParallelism(t *testing.T) {
	for n := 1; n <= 64; n++ {
		keys := EvenKeys(n, DefaultMaxParallelism)
		for parallelism := 1; parallelism <= n && parallelism <= 16; parallelism++ {
			count := make([]int, parallelism)
			for _, k := range keys {
				count[Subtask(KeyGroup(Int64(k), DefaultMaxParallelism), DefaultMaxParallelism, parallelism)]++
			}
			low, high := n, 0
			for _, c := range count {
				low, high = min(low, c), max(high, c)
			}
			most := 1
			if n > 20 {
				most = 2 // 128 groups are too coarse
			}
			if high-low > most {
				t.Errorf("%d keys on %d subtasks: %v", n, parallelism, count)
			}
		}
	}
}

func TestEvenKeysOfNothing(t *testing.T) {
	for _, a := range [][2]int{{0, 128}, {-1, 128}, {4, 0}} {
		if keys := EvenKeys(a[0], a[1]); keys != nil {
			t.Errorf("EvenKeys(%d, %d) = %v, want nil", a[0], a[1], keys)
		}
	}
}
