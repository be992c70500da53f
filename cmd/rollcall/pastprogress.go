package main

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/schollz/progressbar/v3"

	"rollcall/internal/api"
)

// pastProgress shows on a terminal how far the service has read the past.
type pastProgress struct {
	std     streams
	command string
	bar     *progressbar.ProgressBar // nil until there is something to show
	// What the answer lacks, according to the last page.
	completeFrom time.Time
	unplaced     uint64
}

// addPage reports whether a page is to be printed. A page that only has the progress is
// shown by the bar instead.
func (r *pastProgress) addPage(page []byte) (bool, error) {
	var answer struct {
		Past *api.Past `json:"past"`
	}
	if err := json.Unmarshal(page, &answer); err != nil {
		return false, err
	}
	p := answer.Past
	if p == nil {
		return true, nil
	}
	if !p.Done {
		r.show(p)
		return false, nil
	}
	r.end()
	r.completeFrom, r.unplaced = p.CompleteFrom, p.Unplaced
	return true, nil
}

// show draws the progress.
func (r *pastProgress) show(p *api.Past) {
	if p.Last < p.First || p.Last == 0 || !isTerminal(r.std.err) {
		return
	}
	if r.bar == nil {
		r.bar = progressbar.NewOptions64(int64(p.Last-p.First+1),
			progressbar.OptionSetWriter(r.std.err),
			progressbar.OptionSetDescription("reading the past"),
			progressbar.OptionShowCount(),
			// Without this the library draws from a goroutine of its own.
			progressbar.OptionSetSpinnerChangeInterval(0),
			progressbar.OptionClearOnFinish(),
		)
	}
	read := max(p.Read+1, p.First) - p.First
	_ = r.bar.Set64(int64(min(read, p.Last-p.First))) // it is full when the answer arrives
}

// end removes the bar.
func (r *pastProgress) end() {
	if r.bar != nil {
		_ = r.bar.Clear()
		_ = r.bar.Exit()
		r.bar = nil
	}
}

// printIncomplete prints what the answer lacks, if anything.
func (r *pastProgress) printIncomplete(a *queryFlags) {
	if !r.completeFrom.IsZero() {
		fmt.Fprintf(r.std.err, "rollcall: %s: not complete: the stream begins at %s, sessions from before that have ended are missing\n",
			r.command, a.time(r.completeFrom))
	}
	if r.unplaced > 0 {
		fmt.Fprintf(r.std.err, "rollcall: %s: not complete: %d events arrived too late to be included; ask for one machine, one user or a shorter time\n",
			r.command, r.unplaced)
	}
}
