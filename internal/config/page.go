package config

import (
	"log/slog"
	"net/netip"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/inventory"
)

// Page configures the page, of the web command and of serve.
type Page struct {
	PageAddr            pageAddress   `split_words:"true" default:"127.0.0.1:8088" desc:"address of the page, which shows who is logged in where; off: serve has none, as with NATS_URL"`
	PageConfigFile      webConfigFile `split_words:"true" desc:"web configuration file of the page: TLS, client certificates, users with passwords; nothing of ROLLCALL_HTTP_CONFIG_FILE applies to it" shown:"none: plain HTTP"`
	PageHosts           hosts         `split_words:"true" desc:"host names by which browsers reach the page, beside localhost, separated by commas, such as rollcall.example.com" shown:"none"`
	PageTrustedProxies  networks      `split_words:"true" desc:"addresses of the proxies in front of the page, such as 10.0.0.7 or 10.1.0.0/16, separated by commas; nobody else is let in then" shown:"none"`
	PageUserHeader      headerName    `split_words:"true" desc:"header in which these proxies name the user who has logged in, such as X-Forwarded-User" shown:"none"`
	PageServiceAccounts patterns      `split_words:"true" desc:"users who may be on many machines at once, as patterns such as svc-*, separated by commas; the page marks the others" shown:"none"`
	PageSeveral         several       `split_words:"true" default:"5" desc:"on how many machines at once a user must be to be marked on the page, at least 2"`
	PageExpectedFile    inventoryFile `split_words:"true" desc:"file with the names of the machines that there should be, as in ROLLCALL_EXPECTED_FILE, for the page to list those never heard from" shown:"none; serve: that of ROLLCALL_EXPECTED_FILE"`
}

// check appends the problems of the web configuration file, and those that concern two
// variables.
func (p *Page) check(readWeb func(path string) error, found Problems) Problems {
	pairs := []struct {
		have, need string
		bad        bool
	}{
		{"ROLLCALL_PAGE_TRUSTED_PROXIES", "ROLLCALL_PAGE_USER_HEADER", len(p.PageTrustedProxies) > 0 && p.PageUserHeader == ""},
		{"ROLLCALL_PAGE_USER_HEADER", "ROLLCALL_PAGE_TRUSTED_PROXIES", len(p.PageTrustedProxies) == 0 && p.PageUserHeader != ""},
	}
	for _, pair := range pairs {
		//guard:drop pair.bad "a user's name is not taken from a header of anybody" TestPagePairs
		if pair.bad && !found.concerns(pair.have, pair.need) {
			found = append(found, problem{pair.have, "requires " + pair.need, "set both or neither"})
		}
	}
	return p.PageConfigFile.check("ROLLCALL_PAGE_CONFIG_FILE", readWeb, found)
}

// ExpectedMachines returns a function for the names of the machines that there should be now;
// nil if no file is configured.
func (p *Page) ExpectedMachines(log *slog.Logger) (func() []string, error) {
	if p.PageExpectedFile == "" {
		return nil, nil
	}
	file, err := inventory.Open(string(p.PageExpectedFile), log)
	if err != nil {
		return nil, err
	}
	return file.Names, nil
}

// pageAddress is an address, or "off".
type pageAddress address

// off is the value that turns the page off.
const off = "off"

// IsOff reports whether the page is turned off.
func (a pageAddress) IsOff() bool { return a == off }

// Set reads an address, or off.
func (a *pageAddress) Set(value string) error {
	if strings.EqualFold(value, off) {
		*a = off
		return nil
	}
	return (*address)(a).Set(value)
}

// several is a number of at least 2.
type several int

// Set reads a value such as 5.
func (s *several) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 2 {
		return invalid(value, "is not a number of at least 2", "use digits only, such as 5")
	}
	*s = several(n)
	return nil
}

// elements returns the elements of a list that is separated by commas. Empty ones are left
// out.
func elements(value string) []string {
	list := strings.Split(value, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return slices.DeleteFunc(list, func(element string) bool { return element == "" })
}

// hosts are the names of hosts in lower case, or their addresses.
type hosts []string

var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// Set reads names of hosts, or addresses, without ports.
func (h *hosts) Set(value string) error {
	*h = nil
	for _, element := range elements(value) {
		name := strings.ToLower(element)
		if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")); err == nil && addr.Zone() == "" {
			name = addr.String()
		} else if !hostName.MatchString(name) || len(name) > 253 {
			return invalid(element, "is not the name of a host", "give names as in the browser's address, without https:// and port, such as rollcall.example.com")
		}
		*h = append(*h, name)
	}
	return nil
}

// networks are ranges of addresses.
type networks []netip.Prefix

// Set reads ranges such as 10.1.0.0/16, or single addresses.
func (n *networks) Set(value string) error {
	*n = nil
	for _, element := range elements(value) {
		prefix, err := netip.ParsePrefix(element)
		if addr, single := netip.ParseAddr(element); single == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || prefix.Addr().Is4In6():
			return invalid(element, "is neither an address nor a range of addresses", "use such as 10.0.0.7, 10.1.0.0/16 or fd00::/8")
		//guard:false "no proxy of everybody is trusted" TestPagePairs
		case prefix.Bits() == 0:
			return invalid(element, "is every address, and anybody could claim to be any user", "give the addresses of the proxies only")
		case prefix != prefix.Masked():
			return invalid(element, "has bits after its range", "use "+prefix.Masked().String()+", or "+prefix.Addr().String())
		}
		*n = append(*n, prefix)
	}
	return nil
}

// headerName is the name of a header, in its canonical form.
type headerName string

var headerToken = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// Set reads the name of a header that can carry a user's name.
func (h *headerName) Set(value string) error {
	name := textproto.CanonicalMIMEHeaderKey(value)
	if !headerToken.MatchString(value) || slices.Contains([]string{"Host", "Authorization", "Cookie", "Connection", "Transfer-Encoding"}, name) {
		return invalid(value, "is not a header for a user's name", "use the one that the proxy sets, such as X-Forwarded-User")
	}
	*h = headerName(name)
	return nil
}

// patterns are patterns for names; see api.Matches.
type patterns []string

// Set reads patterns such as svc-*.
func (p *patterns) Set(value string) error {
	*p = elements(value)
	return nil
}
