package replay

// places names the lines of all passes by numbers, for the Sender: a refusal
// may come when the next pass has begun, with other files.
type places struct {
	files   []string
	numbers map[string]int // of files
	lanes   []int          // the numbers of the pass's files
}

// begin takes the files of a pass.
func (p *places) begin(files []string) {
	if p.numbers == nil {
		p.numbers = map[string]int{}
	}
	p.lanes = p.lanes[:0]
	for _, name := range files {
		number, known := p.numbers[name]
		if !known {
			number = len(p.files)
			p.files, p.numbers[name] = append(p.files, name), number
		}
		p.lanes = append(p.lanes, number)
	}
}

// ref returns the number of a record's line.
func (p *places) ref(r *record) int { return p.lanes[r.lane]<<lineBits | r.line() }

// of returns file and line of a number.
func (p *places) of(ref int) (file string, line int) {
	return p.files[ref>>lineBits], ref & (1<<lineBits - 1)
}

// tellRefused counts and tells the events that the stream has refused.
func (r *replay) tellRefused() {
	for _, refused := range r.to.Refused() {
		r.stats.Refused++
		if r.o.OnSkip != nil && r.stats.Refused <= warnedSkips {
			file, line := r.places.of(refused.Ref)
			r.o.OnSkip(Skip{File: file, Line: line, Err: refused.Err})
		}
	}
}
