package fleet

import (
	"sort"
	"strconv"
)

// site is a domain with machines next to each other.
type site struct {
	name string
	end  int // the first machine of the next one
}

var (
	firstSites = []string{
		"ber1.example.com", "fra1.example.com", "lab-a.uni.example", "lab-b.uni.example", "library.uni.example",
		"lis1.example.com", "nyc2.example.com", "osl1.example.com", "sin1.example.com",
	}
	cities = []string{
		"ams", "ath", "bcn", "bru", "cph", "dub", "gva", "hel", "ist", "kul", "lon", "mad", "mil", "par", "prg", "rig",
		"sao", "sea", "syd", "tyo", "vie", "waw", "yul", "zrh",
	}
)

// newSites divides machines into sites of different sizes: nine, and more in fleets of
// more than ten thousand, up to two hundred.
func newSites(machines int) []site {
	sites := make([]site, min(max(len(firstSites), machines/1100), 200))
	total, weights := 0, make([]int, len(sites))
	for i := range sites {
		sites[i].name = siteName(i)
		weights[i] = 60 + i*37%80
		total += weights[i]
	}
	sum := 0
	for i := range sites {
		sum += weights[i]
		sites[i].end = (machines*sum + total/2) / total
	}
	return sites
}

func siteName(i int) string {
	if i < len(firstSites) {
		return firstSites[i]
	}
	i -= len(firstSites)
	return cities[i%len(cities)] + strconv.Itoa(i/len(cities)+1) + ".example.com"
}

func (f *Fleet) siteOf(machine int) int {
	return sort.Search(len(f.sites)-1, func(i int) bool { return machine < f.sites[i].end })
}

// ownersAt are the persons whose workstations are at the same site as a machine: from the first up
// to the second.
func (f *Fleet) ownersAt(machine int) (from, to int) {
	i := f.siteOf(machine)
	if i > 0 {
		from = countUpTo(workstation, f.sites[i-1].end)
	}
	return from, countUpTo(workstation, f.sites[i].end)
}
