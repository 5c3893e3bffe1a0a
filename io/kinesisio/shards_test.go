package kinesisio

import (
	"math/big"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

func slotOfTest(index, count int) slots.Slot { return slots.Slot{Index: index, Count: count} }

const topHashKey = "340282366920938463463374607431768211455"

func TestSlotOf(t *testing.T) {
	for _, c := range []struct {
		start string
		count int
		want  int
	}{
		{"0", 1, 0},
		{topHashKey, 1, 0},
		{topHashKey, 7, 6},
		{"0", 4, 0},
		{"85070591730234615865843651857942052864", 4, 1},  // 2^126
		{"85070591730234615865800000000000000000", 4, 0},  // well below it
		{"170141183460469231731687303715884105728", 2, 1}, // 2^127
		{"113427455640312821154458202477256070485", 3, 1}, // floor(2^128/3)
		{"226854911280625642308916404954512140970", 3, 2}, // twice that
		{"340282366920938463463374607431768211455", 1024, 1023},
	} {
		got, err := slotOf(c.start, c.count)
		if err != nil || got != c.want {
			t.Errorf("slotOf(%s, %d) = %d, %v; want %d", c.start, c.count, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "x", "-1", "340282366920938463463374607431768211456"} {
		if got, err := slotOf(bad, 2); err == nil {
			t.Errorf("slotOf(%q) = %d", bad, got)
		}
	}
}

// Streams are made with shards at multiples of floor(2^128/shards).
func TestShardsOfAUniformStreamAreSpreadEvenly(t *testing.T) {
	whole := new(big.Int).Lsh(big.NewInt(1), hashBits)
	for count := 1; count <= 40; count++ {
		for _, times := range []int{1, 2, 3, 25} {
			width := new(big.Int).Div(whole, big.NewInt(int64(count*times)))
			owned := make([]int, count)
			for i := range count * times {
				slot, err := slotOf(new(big.Int).Mul(width, big.NewInt(int64(i))).String(), count)
				if err != nil {
					t.Fatal(err)
				}
				owned[slot]++
			}
			for slot, n := range owned {
				if n != times {
					t.Errorf("%d shards on %d slots: slot %d has %d", count*times, count, slot, n)
				}
			}
		}
	}
}
