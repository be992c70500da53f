package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// outputFlags are the flags of the commands that print lists.
type outputFlags struct {
	Output string   `short:"o" enum:"text,json,jsonl,csv,tsv" default:"text" placeholder:"FORMAT" help:"text, which is tsv in a pipe; json: the service's answers as they are; jsonl: a JSON object for each row; csv, with a header; tsv, without."`
	Fields []string `placeholder:"FIELD" help:"Print only these columns, in this order; for jsonl, csv and tsv. An unknown one names those that there are."`
	Wide   bool     `short:"w" help:"Cut nothing to the width of the terminal."`
}

// format returns the format to print in.
func (o *outputFlags) format(std streams) string {
	if o.Output == "text" && !isTerminal(std.out) {
		return "tsv"
	}
	return o.Output
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note prints a message about the output: below it on a terminal, where people read it, and
// else on standard error, where it is not in the way of a program.
func (s streams) note(format string, args ...any) {
	to := s.err
	if isTerminal(s.out) {
		to = s.out
	}
	fmt.Fprintf(to, format+"\n", args...)
}

// plainWidth is the width in columns of a terminal that doesn't tell it; endless cuts
// nothing.
const (
	plainWidth = 80
	endless    = 1 << 20
)

// width returns the width of a terminal in columns: COLUMNS, if it is set.
func width(out io.Writer) int {
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return plainWidth
}

func (o *outputFlags) width(out io.Writer) int {
	if o.Wide {
		return endless
	}
	return width(out)
}

// colour is how a text is shown on a terminal.
type colour string

// Colours have a meaning: what is coloured wants to be looked at.
const (
	plain   colour = ""
	warning colour = "\x1b[33m" // yellow: silent, not complete, on several machines
)

// colours reports whether a stream shows colours: a terminal, unless NO_COLOR is set
// (https://no-color.org) or TERM is dumb.
func colours(stream any) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint returns a text in a colour.
func paint(text string, c colour) string {
	if c == plain || text == "" {
		return text
	}
	return string(c) + text + "\x1b[m"
}

// warned returns a text as a warning, if the stream shows colours.
func warned(stream any, text string) string {
	if !colours(stream) {
		return text
	}
	return paint(text, warning)
}

// checkFields checks --fields, and returns the columns to print: those given, or all.
func (o *outputFlags) checkFields(std streams, all []string) ([]string, error) {
	if len(o.Fields) == 0 {
		return all, nil
	}
	switch o.format(std) {
	case "text":
		return nil, usageError{errors.New("--fields: on a terminal add -o tsv, csv or jsonl")}
	case "json":
		return nil, usageError{errors.New("--fields: use -o jsonl, csv or tsv; json is the service's answer as it is")}
	}
	for i := range o.Fields {
		o.Fields[i] = strings.TrimSpace(o.Fields[i])
		field := o.Fields[i]
		if !slices.Contains(all, field) {
			return nil, usageError{fmt.Errorf("--fields: no field %s: use %s", quoteUnprintable(field), strings.Join(all, ", "))}
		}
		if slices.Contains(o.Fields[:i], field) {
			return nil, usageError{fmt.Errorf("--fields: %s is given twice", field)}
		}
	}
	return o.Fields, nil
}
