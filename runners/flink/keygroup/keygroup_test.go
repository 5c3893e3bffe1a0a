package keygroup

import (
	"bufio"
	"fmt"
	"os"
	"slices"
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

// paths are keys of files' writers, as the router makes them.
func paths(n int) []func(dst []byte, number int) []byte {
	keys := make([]func(dst []byte, number int) []byte, n)
	for i := range keys {
		keys[i] = func(dst []byte, number int) []byte {
			return fmt.Appendf(dst, "e|%d|pickup_location=%03d/year=2018/month=01", number, i)
		}
	}
	return keys
}

func groups(key func(dst []byte, number int) []byte, numbers []int) []int {
	var out []int
	for _, n := range numbers {
		out = append(out, KeyGroup(String(string(key(nil, n))), DefaultMaxParallelism))
	}
	return out
}

func TestEvenNumbersHaveASubtaskEachInOrderFromThatOfNumberZero(t *testing.T) {
	for n := 1; n <= 64; n++ {
		for _, key := range paths(50) {
			numbers := EvenNumbers(n, DefaultMaxParallelism, key)
			if len(numbers) != n || numbers[0] != 0 {
				t.Fatalf("%d numbers: %v", n, numbers)
			}
			at := groups(key, numbers)
			first := Subtask(at[0], DefaultMaxParallelism, n)
			for i, g := range at {
				if got, want := Subtask(g, DefaultMaxParallelism, n), (first+i)%n; got != want {
					t.Errorf("%s, number %d of %d: subtask %d, want %d", key(nil, numbers[i]), i, n, got, want)
				}
			}
		}
	}
}

func TestEvenNumbersSpreadOverFewerSubtasks(t *testing.T) {
	for n := 1; n <= 18; n++ {
		for _, key := range paths(300) {
			at := groups(key, EvenNumbers(n, DefaultMaxParallelism, key))
			for parallelism := 1; parallelism <= n; parallelism++ {
				count := make([]int, parallelism)
				for _, g := range at {
					count[Subtask(g, DefaultMaxParallelism, parallelism)]++
				}
				if low, high := slices.Min(count), slices.Max(count); high-low > 1 {
					t.Errorf("%s, %d numbers on %d subtasks: %v", key(nil, 0), n, parallelism, count)
				}
			}
		}
	}
}

// The few keys of one path leave groups empty; those of many do not all take the same ones.
func TestEvenNumbersOfManyKeysTakeAllGroups(t *testing.T) {
	taken := map[int]bool{}
	for _, key := range paths(1000) {
		for _, g := range groups(key, EvenNumbers(4, DefaultMaxParallelism, key)) {
			taken[g] = true
		}
	}
	if len(taken) != DefaultMaxParallelism {
		t.Errorf("%d groups of %d have keys", len(taken), DefaultMaxParallelism)
	}
}

func TestEvenNumbersOfNothing(t *testing.T) {
	for _, n := range []int{-1, 0, DefaultMaxParallelism + 1} {
		if numbers := EvenNumbers(n, DefaultMaxParallelism, nil); numbers != nil {
			t.Errorf("EvenNumbers of %d: %v", n, numbers)
		}
	}
}

func BenchmarkEvenNumbers(b *testing.B) {
	key := paths(1)[0]
	for _, n := range []int{2, 8, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				EvenNumbers(n, DefaultMaxParallelism, key)
			}
		})
	}
}
