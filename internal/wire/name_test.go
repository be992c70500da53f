package wire

import (
	"strings"
	"testing"
	"unicode"
)

// invisible is Default_Ignorable_Code_Point of Unicode 15, as in
// DerivedCoreProperties.txt, followed by other characters that break lines, control
// direction or are drawn as nothing.
var invisible = [][2]rune{
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x061c, 0x061c},
	{0x115f, 0x1160},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x200b, 0x200f},
	{0x202a, 0x202e},
	{0x2060, 0x206f},
	{0x3164, 0x3164},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfff8},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},

	{0x2028, 0x2029},
	{0x2800, 0x2800},
	{0xfff9, 0xfffb},
	{0x13430, 0x1343f},
	{0x13441, 0x13442},
	{0x16fe4, 0x16fe4},
	{0x1d159, 0x1d159},
}

// TestInvisible: no name contains an invisible character, at any position.
func TestInvisible(t *testing.T) {
	for _, span := range invisible {
		for r := span[0]; r <= span[1]; r++ {
			for _, name := range []string{string(r), "lane" + string(r), string(r) + "lane", "la" + string(r) + "ne", "é" + string(r)} {
				if !strings.HasPrefix(NameProblem(name), "invisible character U+") {
					t.Errorf("%+q: %q", name, NameProblem(name))
				}
			}
		}
	}
}

// TestVisible: names of people and machines in any script are valid, with white
// space and variation selectors that are part of them.
func TestVisible(t *testing.T) {
	for _, name := range []string{
		"lane", "John Smith", " lane", "lane ", "THESHIRE\\lane$", "山田　太郎", "葛\U000e0100城", "邉\U000e0101", "神\ufe00", "Ślązak", "o\u0301",
		"Nguyễn", "ابوالفضل", "יוסף", "김철수", "각", "สมชาย", "ខ្មែរ", "मनोज", "ᠮᠣᠩ\u180bᠭᠣᠯ", "❤\ufe0f", "\u0600١٢", "⠇⠁⠝⠑", "a\u00a0b",
	} {
		if what := NameProblem(name); what != "" {
			t.Errorf("%+q: %s", name, what)
		}
	}
}

// TestVariationSelectors: a variation selector is invisible unless it follows a
// character that has forms.
func TestVariationSelectors(t *testing.T) {
	for _, name := range []string{"a\ufe0f", "1\ufe0f", "ᠮ\ufe00", "葛\u180b", "葛\U000e0100\U000e0100", "ᠮ\u180b\u180b", "葛 \U000e0100", "\u2800\ufe0f"} {
		if NameProblem(name) == "" {
			t.Errorf("%+q is accepted as a name", name)
		}
	}
}

// TestWhiteSpace: a name of only white space of any kind is not valid.
func TestWhiteSpace(t *testing.T) {
	for r := rune(' '); r <= unicode.MaxRune; r++ {
		if !unicode.IsSpace(r) {
			continue
		}
		if NameProblem(strings.Repeat(string(r), 9)) == "" {
			t.Errorf("%U is accepted as a name", r)
		}
	}
}
