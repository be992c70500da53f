package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/api"
)

// runSeveral prints the users who are on more than one machine. The machines of a user
// may be on any page, so all pages are read first.
func (c *reportCmd) runSeveral(ctx context.Context, std streams, request api.ReportRequest) error {
	on := make(map[string][]string)
	err := c.askReport(ctx, std, request, func(page *api.Report) error {
		for _, m := range page.Machines {
			for _, user := range m.Users {
				on[user] = append(on[user], m.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	t := newTable("USER", "COUNT", "MACHINES")
	for _, user := range slices.Sorted(maps.Keys(on)) {
		t.add(user, strconv.Itoa(len(on[user])), joined(on[user]))
	}
	return t.write(std.out, width(std.out))
}

// runSilent prints the machines that have been silent for so long.
func (c *reportCmd) runSilent(ctx context.Context, std streams, request api.ReportRequest) error {
	return c.askReport(ctx, std, request, func(page *api.Report) error {
		t := newTable("MACHINE", "LAST HEARD", "FOR", "LAST KNOWN USERS")
		for _, m := range page.Machines {
			t.add(m.Name, c.time(m.Heard), span(page.When.Sub(m.Heard)), joined(m.Users))
		}
		return t.write(std.out, width(std.out))
	})
}

// runLongest prints the sessions that have lasted longest. "rollcall who" prints their
// ids and services, for which the table has no space.
func (c *reportCmd) runLongest(ctx context.Context, std streams, request api.ReportRequest) error {
	return c.ask(ctx, std, "report", "report", request, func(page []byte) error {
		a, err := api.Decode[api.LongestAnswer](page)
		if err != nil {
			return err
		}
		t := newTable("USER", "MACHINE", "SINCE", "FOR", "TERMINAL", "REMOTE", "NOTE")
		for _, s := range a.Sessions {
			t.add(s.User, s.Machine, c.time(s.Since), span(a.When.Sub(s.Since)), s.Terminal, s.Remote, note(s.Silent))
		}
		return t.write(std.out, width(std.out))
	})
}

// span formats a duration in its two greatest units: "3d4h". A negative one, of a date in
// the future, counts as 0.
func span(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
