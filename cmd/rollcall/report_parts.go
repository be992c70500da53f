package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/internal/api"
)

// onSeveral is a user who is on several machines.
type onSeveral struct {
	user     string
	machines []string
}

// runSeveral prints the users who are on more than one machine. The machines of a user
// may be on any page, so all pages are read first.
func (c *reportCmd) runSeveral(ctx context.Context, ask *asker, request *api.ReportRequest) error {
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, []column[onSeveral]{
		{field: "user", title: "USER", value: func(u *onSeveral) any { return u.user }},
		{field: "count", title: "COUNT", value: func(u *onSeveral) any { return len(u.machines) }},
		{field: "machines", title: "MACHINES", value: func(u *onSeveral) any { return u.machines }},
	})
	if err != nil {
		return err
	}
	machines := request.Machines
	request.Machines = "" // the others of their machines may not match
	on := make(map[string][]string)
	err = ask.pages(ctx, "report", request, decodedReport(ask.std, &c.outputFlags, func(page *api.Report) error {
		for _, m := range page.Machines {
			for _, user := range m.Users {
				on[user] = append(on[user], m.Name)
			}
		}
		return nil
	}))
	if err != nil || c.Output == "json" {
		return err
	}
	var rows []onSeveral
	for _, user := range slices.Sorted(maps.Keys(on)) {
		if slices.ContainsFunc(on[user], func(name string) bool { return api.Matches(machines, name) }) {
			rows = append(rows, onSeveral{user, on[user]})
		}
	}
	if err := list.print(rows); err != nil {
		return err
	}
	ask.summary(&c.outputFlags, "%s on several machines%s", plural(len(rows), "user"), ofThose(machines))
	return nil
}

// silentRow is a machine, and when it was asked about.
type silentRow struct {
	api.Machine
	when time.Time
}

// runSilent prints the machines that have been silent for so long.
func (c *reportCmd) runSilent(ctx context.Context, ask *asker, request *api.ReportRequest) error {
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, []column[silentRow]{
		{field: "machine", title: "MACHINE", value: func(m *silentRow) any { return m.Name }},
		{field: "heard", title: "LAST HEARD", value: func(m *silentRow) any { return m.Heard }},
		{title: "FOR", cell: func(m *silentRow) string { return span(m.when.Sub(m.Heard)) }},
		{field: "users", title: "LAST KNOWN USERS", value: func(m *silentRow) any { return m.Users }},
	})
	if err != nil {
		return err
	}
	machines := 0
	err = ask.pages(ctx, "report", request, decodedReport(ask.std, &c.outputFlags, func(page *api.Report) error {
		rows := make([]silentRow, len(page.Machines))
		for i, m := range page.Machines {
			rows[i] = silentRow{m, page.When}
		}
		machines += len(rows)
		return list.print(rows)
	}))
	if err == nil {
		ask.summary(&c.outputFlags, "%s not heard from for %s%s", plural(machines, "machine"), span(time.Duration(*c.SilentFor)), ofThose(request.Machines))
	}
	return err
}

// runLongest prints the sessions that have lasted longest.
func (c *reportCmd) runLongest(ctx context.Context, ask *asker, request *api.ReportRequest) error {
	var when time.Time
	columns := sessionColumns(userColumn, machineColumn, "SERVICE", "SESSION")
	lasted := column[sessionRow]{title: "FOR", cell: func(r *sessionRow) string { return span(when.Sub(r.Since)) }}
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, slices.Insert(columns, 3, lasted))
	if err != nil {
		return err
	}
	err = ask.pages(ctx, "report", request, decoded(ask.std, &c.outputFlags, func(a *api.LongestAnswer) error {
		when = a.When
		rows := make([]sessionRow, len(a.Sessions))
		for i, s := range a.Sessions {
			rows[i] = sessionRow{s.Machine, s.Silent, false, s.Session}
		}
		return list.print(rows)
	}))
	if err == nil && list.rows == 0 {
		ask.summary(&c.outputFlags, "no sessions%s", filters("", request.Machines))
	}
	return err
}

// span formats a duration in its two greatest units: "3d4h". A negative one, of a date in
// the future, counts as 0.
func span(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return units(days, "d", hours, "h")
	case hours > 0:
		return units(hours, "h", minutes, "m")
	case minutes > 0:
		return units(minutes, "m", seconds, "s")
	}
	return fmt.Sprintf("%ds", seconds)
}

// units joins two numbers with their units, the second only if it is not 0.
func units(n int, unit string, rest int, smaller string) string {
	if rest == 0 {
		return fmt.Sprintf("%d%s", n, unit)
	}
	return fmt.Sprintf("%d%s%d%s", n, unit, rest, smaller)
}
