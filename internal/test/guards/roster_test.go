package guards

const (
	oracle  = "./internal/roster TestOracle"
	lately  = "./internal/roster TestLatelyOver"
	limits  = "./internal/roster ^TestLimits$"
	noEvent = "./internal/roster TestRestoreRefuses"
	room    = "./internal/roster ^(TestRoom|TestRoomLeavesNoTrace)$"
	losses  = "./internal/roster ^(TestLosses|TestSettled)$"
)

var rosterGuards = []guard{
	{
		"roster: future", "no login dated 2099 can never be logged out",
		"internal/roster/limit.go", `if e.Date > msg.Receipt.Add(r.settings.MaxSkew) {`, `if false {`, "./internal/ingest ^TestRefused$",
	},
	{
		"roster: late", "nothing is judged by what has been forgotten",
		"internal/roster/limit.go", `case m != nil && e.Date < m.horizon(lateness):`, `case false:`, oracle,
	},
	{
		"roster: late stays late", "a greater lateness does not judge what the smaller one has forgotten",
		"internal/roster/block.go", `if d.floor > 0 {`, `if false {`, "./internal/roster TestLateStaysLate",
	},
	{
		"roster: machines", "memory is bounded",
		"internal/roster/limit.go", `if m == nil && s.MaxMachines > 0 && st.Machines-st.Hidden >= s.MaxMachines {`, `if false {`, limits,
	},
	{
		"roster: machines that are hidden", "names long gone take no room",
		"internal/roster/limit.go", `st.Machines-st.Hidden >= s.MaxMachines`, `st.Machines >= s.MaxMachines`, room,
	},
	{
		"roster: sessions of a machine", "memory is bounded",
		"internal/roster/limit.go", `case over(m.opened(), more, s.MaxSessionsPerMachine):`, `case false:`, limits,
	},
	{
		"roster: sessions", "memory is bounded",
		"internal/roster/limit.go", `case over(st.Sessions, more, s.MaxSessions):`, `case false:`, limits,
	},
	{
		"roster: what adds nothing", "an ending is taken when the roster is full",
		"internal/roster/limit.go", `limit > 0 && more > 0 && have+more > limit`, `limit > 0 && have+max(1, more) > limit`, limits,
	},
	{
		"roster: an ending below the floor", "what only ends something is never late but for the horizon",
		"internal/roster/limit.go", `e.Date < m.floor() && e.mostOpened() > 0:`, `e.Date < m.floor():`, room,
	},
	{
		"roster: a login below the floor", "nothing is judged by what has been forgotten",
		"internal/roster/limit.go", `e.Date < m.floor() && e.mostOpened() > 0:`, `false:`, room,
	},
	{
		"roster: the fleet's floor", "nothing is judged by what has been forgotten",
		"internal/roster/limit.go", `case m == nil && e.Date < st.fleetFloor:`, `case false:`, room,
	},
	{
		"roster: the ceiling of a machine", "memory is bounded, however often somebody logs in and out",
		"internal/roster/room.go", `most > 0 && m.closed() > most {`, `false {`, room,
	},
	{
		"roster: the ceiling of all", "memory is bounded, however often somebody logs in and out",
		"internal/roster/room.go", `most > 0 && r.closed(st) > most {`, `false {`, room,
	},
	{
		"roster: what may be forgotten first", "ceilings don't count what may be forgotten: a replay judges the same",
		"internal/roster/room.go", `if m.tidy(r, true); m.closed() > most {`, `if m.closed() > most {`, room,
	},
	{
		"roster: what may be forgotten first, of all", "ceilings don't count what may be forgotten: a replay judges the same",
		"internal/roster/room.go", "\t\tr.tidyAll(held)\n", "", room,
	},
	{
		"roster: the ceiling of hidden machines", "memory is bounded under a fleet that churns",
		"internal/roster/lately.go", `most > 0 && st.Hidden > most {`, `false && st.Hidden > most {`, room,
	},
	{
		"roster: cuts keep what is forgotten", "a snapshot and a report are the roster of one place",
		"internal/roster/room.go", "\t\t\tr.preserve(m)\n\t\t\tm.forgetAll(r)", "\t\t\tm.forgetAll(r)", "./internal/roster TestCutKeepsWhatIsForgotten",
	},
	{
		"roster: full is said of the machine", "that events were refused for want of room is said",
		"internal/roster/roster.go", `if m.Refusal != nil && m.Refusal.Reason == Limit {`, `if false {`, limits,
	},
	{
		"roster: full is a loss of machines nobody knows", "that events were refused for want of room is said",
		"internal/roster/limit.go", "r.lost(st, LossLimit, stamp.Place)", "", limits,
	},
	{
		"roster: a session takes the greater stamp", "order and repetition don't matter",
		"internal/roster/machine.go", "case !f.stamp.After(row.stamp):\n\t\tf.r.people.drop(u)", "case false:\n\t\tf.r.people.drop(u)", oracle,
	},
	{
		"roster: a logout below the login", "order and repetition don't matter",
		"internal/roster/machine.go", "case !f.stamp.After(row.stamp):\n\t\treturn false", "case false:\n\t\treturn false", oracle,
	},
	{
		"roster: a clearing takes the greater stamp", "order and repetition don't matter",
		"internal/roster/machine.go", `if c != nil && !f.stamp.After(c.stamp) {`, `if false {`, "./internal/roster TestEarlierClearing",
	},
	{
		"roster: a reset takes the greater stamp", "order and repetition don't matter",
		"internal/roster/machine.go", "m := f.m\n\tif !f.stamp.After(m.reset) {", "m := f.m\n\tif false {", oracle,
	},
	{
		"roster: a login below the reset", "nobody from before a boot is on",
		"internal/roster/machine.go", "if !f.stamp.After(f.m.reset) {\n\t\treturn false\n\t}\n\tu := f.r.people.holdSeen(f.seen, s.User)\n", "u := f.r.people.holdSeen(f.seen, s.User)\n", "./internal/roster ^(TestOracle|TestSameBytes)$",
	},
	{
		"roster: a logout below the reset", "forgetting is exact: it never shows",
		"internal/roster/machine.go", "func (f *folding) logout(id string) bool {\n\tif !f.stamp.After(f.m.reset) {", "func (f *folding) logout(id string) bool {\n\tif false {",
		"./internal/roster ^(TestOracle|TestSameBytes|TestAnyOrder)$",
	},
	{
		"roster: a clearing below the reset", "forgetting is exact: it never shows",
		"internal/roster/machine.go", "func (f *folding) clear(name string) bool {\n\tif !f.stamp.After(f.m.reset) {", "func (f *folding) clear(name string) bool {\n\tif false {",
		"./internal/roster ^(TestOracle|TestSameBytes|TestAnyOrder)$",
	},
	{
		"roster: what a reset keeps", "a login above a late boot stays",
		"internal/roster/machine.go", "if s.stamp.After(f.stamp) {\n\t\t\treturn true", "if false {\n\t\t\treturn true", oracle,
	},
	{
		"roster: a clearing closes", "a logout without a session ends all of the user's",
		"internal/roster/machine.go", `return c == nil || s.stamp.After(c.stamp)`, `return true || s.stamp.After(c.stamp) || c == nil`, oracle,
	},
	{
		"roster: what is lately over is remembered", "a late login does not undo a logout",
		"internal/roster/machine.go", `case s.stamp.Date >= before && !m.forgets(s.stamp):`, `case false:`, lately,
	},
	{
		"roster: clearings lately are remembered", "a late login does not undo a logout",
		"internal/roster/machine.go", "if c.stamp.Date >= before && !m.forgets(c.stamp) {\n\t\t\tm.ends(c.stamp)", "if false {\n\t\t\tm.ends(c.stamp)", lately,
	},
	{
		"roster: what is over is forgotten", "memory is bounded by who is on and what ended lately",
		"internal/roster/machine.go", `if m.ended >= before || !now && m.remembered() < int(m.tidyAt) {`, `if !now {`, "./internal/roster TestBounded",
	},
	{
		"roster: names are forgotten", "memory is bounded by who is on and what ended lately",
		"internal/roster/people.go", "\t\tp.names.Remove(u.hash, n)\n", "", "./internal/roster TestBounded",
	},
	{
		"roster: names are copied", "a reader may use its buffer again",
		"internal/roster/roster.go", `name: strings.Clone(e.Machine)`, `name: e.Machine`, "./internal/roster TestStringsAreCopied",
	},
	{
		"roster: users are copied", "a reader may use its buffer again",
		"internal/roster/people.go", `name: strings.Clone(name)`, `name: name + strings.Clone("")`, "./internal/roster TestStringsAreCopied",
	},
	{
		"roster: numbers of users while there is a cut", "a snapshot and a report name the users of their place",
		"internal/roster/people.go", `if last < 0 || p.cuts > 0 {`, `if last < 0 {`, "./internal/roster TestCut",
	},
	{
		"roster: a machine of the same hash", "what is looked up ahead decides nothing",
		"internal/roster/roster.go", "machine == nil || machine.name != m.Event.Machine", "machine == nil", "./internal/roster TestForeseen",
	},
	{
		"roster: a user of the same hash", "what is looked up ahead decides nothing",
		"internal/roster/people.go", "u.refs > 0 && u.name == name", "u.refs > 0", "./internal/roster TestForeseen",
	},
	{
		"roster: a user who has gone", "what is looked up ahead decides nothing",
		"internal/roster/people.go", "u.refs > 0 && u.name == name", "u.name == name", "./internal/roster TestForeseen",
	},
	{
		"roster: one fate for each place", "a message that is read again is not counted again",
		"internal/roster/roster.go", `again := m.Place <= st.Position.Place`, `again := false`, "./internal/roster ^(TestSameBytes|TestPositionStays)$",
	},
	{
		"roster: the position never goes back", "a message that is read again is not counted again",
		"internal/roster/roster.go", `if b.End.Place >= st.Position.Place {`, `if true {`, "./internal/roster TestPositionStays",
	},
	{
		"roster: places without a message", "the fates add up to the position",
		"internal/roster/roster.go", `r.lose(&st, m.Place-1, b.Missing)`, ``, "./internal/roster TestFates",
	},
	{
		"roster: places at the end", "the fates add up to the position",
		"internal/roster/roster.go", `r.lose(&st, b.End.Place, b.Missing)`, ``, "./internal/roster TestAcceptAhead",
	},
	{
		"roster: judged in an earlier incarnation", "nothing is dead-lettered twice",
		"internal/roster/roster.go", `if m.Receipt <= judged {`, `if false {`, "./internal/ingest TestJudgedBefore",
	},
	{
		"roster: the end of an incarnation is lost", "what was never read of a stream that is gone is said",
		"internal/roster/roster.go", `if b.Unread {`, `if false {`, "./internal/test/faults TestIncarnations/recreated_offline$",
	},
	{
		"roster: a loss concerns every machine", "complete is 1 again only when every machine has said who is on",
		"internal/roster/loss.go", `st.Unsettled = len(r.lately)`, `st.Unsettled = min(1, len(r.lately))`, losses,
	},
	{
		"roster: a reset of before the loss", "a boot out of a spool settles nothing",
		"internal/roster/loss.go", `reset.Place > s.loss && reset.Date > s.after`, `reset.Place > s.loss`, losses,
	},
	{
		"roster: machines that nobody has heard of", "a loss is over only when such a machine would have spoken",
		"internal/roster/loss.go", ` && st.Receipt > st.CompleteAfter`, ``, losses,
	},
	{
		"roster: the skew of a reset", "a boot out of a spool settles nothing",
		"internal/roster/loss.go", `settling{last, st.resumed.Add(r.settings.MaxSkew)}`, `settling{last, st.resumed}`, losses,
	},
	{
		"roster: losses that were accepted", "an operator is not told again of what is accepted",
		"internal/roster/loss.go", `if place <= st.accepted {`, `if false {`, "./internal/roster TestAcceptAhead",
	},
	{
		"roster: losses beyond what was accepted", "nothing is accepted that the operator has not seen",
		"internal/roster/loss.go", `if lost <= place {`, `if true || lost <= place {`, "./internal/roster TestAcceptAhead",
	},
	{
		"roster: a cut sees each machine as it was", "a snapshot and a report are the roster of one place",
		"internal/roster/room.go", `c.preserve(m)`, `_ = c`, "./internal/roster TestCut",
	},
	{
		"roster: a cut sees each machine once", "a snapshot and a report are the roster of one place",
		"internal/roster/cut.go", "&& c.kept[m.number] == nil {", "{", "./internal/roster TestCut",
	},
	{
		"roster: a cut has no machine that came later", "a snapshot and a report are the roster of one place",
		"internal/roster/cut.go", "if int(m.number) < len(c.kept) && ", "if ", "./internal/roster TestCutWhileFolding",
	},
	{
		"roster: a view of a cut is a copy", "a snapshot and a report are the roster of one place",
		"internal/roster/cut.go", "k.sessions = append(k.sessions, m.sessions.Rows...)\n", "k.sessions, n = m.sessions.Rows, 0\n", "./internal/roster TestCutWhileFolding",
	},
	{
		"roster: a cut that is left is copied no further", "a snapshot that can't be written holds nothing up",
		"internal/roster/cut.go", "close(free)\n", "\n", "./internal/roster TestCutLeft",
	},
	{
		"roster: what is hidden", "a machine of which nothing was heard for long leaves reports and metrics",
		"internal/roster/view.go", `v.m.users > 0 || v.m.heard >= v.hidden`, `true || v.m.users > 0 || v.m.heard >= v.hidden`, "./internal/roster TestHidden",
	},
	{
		"roster: who is on is not hidden", "silence is not the same as nobody",
		"internal/roster/view.go", `v.m.users > 0 || v.m.heard >= v.hidden`, `v.m.heard >= v.hidden`, "./internal/roster TestHidden",
	},
	{
		"roster: the encoding leaves out what may be forgotten", "two rosters that read the same are the same bytes",
		"internal/roster/encode.go", `s.stamp.Date >= before && !m.forgets(s.stamp) || m.isOpen(s)`, `true || m.isOpen(s)`, "./internal/roster TestSameBytes",
	},
	{
		"roster: the encoding's order", "two rosters that read the same are the same bytes",
		"internal/roster/encode.go", `slices.SortFunc(r.cleared, func(a, b clearingRow) int { return strings.Compare(a.user, b.user) })`, ``, "./internal/roster TestSameBytes",
	},
	{
		"restore: another place", "a snapshot goes with its own position",
		"internal/roster/restore.go", `if place := r.status.Position.Place; place != was.Position.Place {`, `if place := r.status.Position.Place; false && place != was.Position.Place {`, noEvent,
	},
	{
		"restore: fates and position", "the fates add up to the position",
		"internal/roster/restore.go", `if d.st.Fates.Sum() != d.st.Position.Place {`, `if false {`, noEvent,
	},
	{
		"restore: order of machines", "what no roster has is not restored",
		"internal/roster/block.go", `if in.err == nil && m.name <= d.last {`, `if false {`, noEvent,
	},
	{
		"restore: bytes after a record", "what no roster has is not restored",
		"internal/roster/block.go", `if in.err == nil && len(in.s) > 0 {`, `if false {`, noEvent,
	},
	{
		"restore: a session twice", "what no roster has is not restored",
		"internal/roster/block.go", `if in.err == nil && (s.ID < lastID || s.ID == lastID && (s.ID != "" || s.User <= lastUser)) {`, `if false && s.ID < lastID+lastUser {`, noEvent,
	},
	{
		"restore: a clearing twice", "what no roster has is not restored",
		"internal/roster/block.go", `if in.err == nil && name <= last {`, `if false && name <= last {`, noEvent,
	},
	{
		"restore: a name cut short", "no file crashes the service",
		"internal/roster/fields.go", `if n > uint64(len(f.s)) {`, `if false {`, noEvent,
	},
	{
		"restore: a number cut short", "what no roster has is not restored",
		"internal/roster/fields.go", "\tf.fail(io.ErrUnexpectedEOF)\n\treturn 0\n", "\treturn 0\n", noEvent,
	},
	{
		"restore: unknown details", "what only a newer program can read is not read half",
		"internal/roster/block.go", `if has > allDetails {`, `if false {`, noEvent,
	},
	{
		"restore: dates out of range", "what no roster has is not restored",
		"internal/roster/fields.go", `if seconds < -most || seconds > most || s < 0 || s > most || nanos >= second {`, `if false {`, noEvent,
	},
	{
		"restore: totals", "a machine that is missing is noticed",
		"internal/roster/restore.go", `if c[i] != end[i] {`, `if false {`, noEvent,
	},
	{
		"restore: bytes after the end", "what no roster has is not restored",
		"internal/roster/restore.go", "case nil:\n\t\treturn nil, errors.New(\"end: bytes after it\")", "case nil:\n\t\treturn &end, nil", noEvent,
	},
	{
		"roster: a user of several sessions on a machine, restored", "a restored roster counts who is on, and not sessions",
		"internal/roster/gather.go", `if g.latest[user] != m.number {`, `if true {`, "./internal/roster TestRestoredIndex",
	},
	{
		"roster: a user on several machines, restored", "a restored roster says who is on several machines",
		"internal/roster/gather.go", `if on > 1 {`, `if on > 2 {`, "./internal/roster TestRestoredIndex",
	},
	{
		"roster: sessions of one machine in the index, restored", "a user is off a machine with the last session there, also in a restored roster",
		"internal/roster/gather.go", `if i > 0 && n == machines[i-1] {`, `if i < 0 && n == machines[i-1] {`, "./internal/roster TestRestoredIndex",
	},
}
