package main

import (
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"pgregory.net/rapid"
)

func TestTable(t *testing.T) {
	for name, tt := range map[string]struct {
		rows  [][]string
		width int
		want  string
	}{
		"nothing":         {nil, 80, ""},
		"fits":            {[][]string{{"a", "1", "x"}, {"bbbbb", "2", "y"}}, 80, "USER   SINCE  NOTE\na      1      x\nbbbbb  2      y\n"},
		"empty column":    {[][]string{{"a", "", "x"}, {"b", "", ""}}, 80, "USER  NOTE\na     x\nb\n"},
		"cut":             {[][]string{{"abcdefghijklm", "1", ""}}, 15, "USER      SINCE\nabcdefg…  1\n"},
		"whole":           {[][]string{{"abcdefghijklm", "2026-11-22", "x"}}, 26, "USER      SINCE       NOTE\nabcdefg…  2026-11-22  x\n"},
		"wide characters": {[][]string{{"日本語", "1", ""}}, 80, "USER    SINCE\n日本語  1\n"},
		"hostile":         {[][]string{{"a\x1b[31m\nb", "1", ""}}, 80, "USER      SINCE\na\ufffd[31m\ufffdb  1\n"},
	} {
		table := newTable("USER", "SINCE", "NOTE")
		for _, row := range tt.rows {
			table.add(row...)
		}
		var out strings.Builder
		if err := table.write(&out, tt.width); err != nil {
			t.Fatal(err)
		}
		if out.String() != tt.want {
			t.Errorf("%s: got\n%swant\n%s", name, out.String(), tt.want)
		}
	}
}

// Whatever the cells contain, no line is too wide, and each row is one line.
func TestTableFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTable("A", "B", "C", "D")
		rows := rapid.IntRange(1, 5).Draw(t, "rows")
		for range rows {
			table.add(rapid.SliceOfN(rapid.StringN(0, 30, -1), 4, 4).Draw(t, "cells")...)
		}
		width := rapid.IntRange(4*minColumn+3*gap, 100).Draw(t, "width")
		var out strings.Builder
		if err := table.write(&out, width); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != rows+1 {
			t.Fatalf("%d lines of %d rows:\n%s", len(lines), rows, out.String())
		}
		for _, line := range lines {
			if uniseg.StringWidth(line) > width {
				t.Fatalf("%q has %d columns, at most %d", line, uniseg.StringWidth(line), width)
			}
		}
	})
}

// TestTablePages: later pages of an answer are laid out anew, with a header, if they need
// other columns, or wider ones; no cell of theirs is lost.
func TestTablePages(t *testing.T) {
	table := newTable("USER", "REMOTE", "NOTE")
	var out strings.Builder
	for _, page := range [][][]string{
		{{"ann", "", ""}, {"bob", "", ""}},
		{{"cy", "", ""}},
		{{"somebody", "10.0.0.7", ""}, {"dan", "", "silent"}},
		{{"eve", "10.0.0.8", "silent"}},
	} {
		for _, row := range page {
			table.add(row...)
		}
		if err := table.write(&out, 80); err != nil {
			t.Fatal(err)
		}
	}
	const want = "USER\nann\nbob\ncy\nUSER      REMOTE    NOTE\nsomebody  10.0.0.7\ndan                 silent\neve       10.0.0.8  silent\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
