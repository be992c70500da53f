package guards

const (
	wireTest     = "./internal/wire TestRefused"
	subjectsTest = "./proto/rollcall/v1 "
)

var contractGuards = []guard{
	{
		"contract: one spelling of a machine", "a machine has one subject, to which permissions can be bound",
		"proto/rollcall/v1/subjects.go", `if want := EncodeMachine(name); want != token {`, `if want := EncodeMachine(name); false {`,
		subjectsTest + "TestMisspelt",
	},
	{
		"contract: one other spelling", "what is half a spelling of MQTT's is none",
		"proto/rollcall/v1/subjects.go", `if strings.Contains(token, mqttDot) && !strings.Contains(token, ".") {`, `if strings.Contains(token, mqttDot) {`,
		subjectsTest + "TestMisspelt",
	},
	{
		"contract: dots that would make an empty token", "every name has a subject that NATS takes",
		"proto/rollcall/v1/subjects.go", `return i == 0 || i == len(name)-1 || name[i-1] == '.'`, `return false`,
		subjectsTest + "TestSpellings",
	},
	{
		"contract: what NATS gives a meaning", "no name is a wildcard, and two names never have one spelling",
		"proto/rollcall/v1/subjects.go", `set[c] = !strings.ContainsRune("*>/%", rune(c))`, `set[c] = true`,
		subjectsTest + "TestSpellings",
	},
	{
		"contract: space, control and other bytes", "a subject is printable ASCII",
		"proto/rollcall/v1/subjects.go", `for c := byte('!'); c <= '~'; c++ {`, `for c := byte(0); c < 255; c++ {`,
		subjectsTest + "TestSpellings",
	},
	{
		"contract: an escape cut short", "no subject crashes the service",
		"proto/rollcall/v1/subjects.go", `if i+3 > len(token) {`, `if false {`,
		subjectsTest + "TestMisspelt",
	},
	{
		"contract: the base's tokens", "a configured base has no wildcard and no empty token",
		"proto/rollcall/v1/subjects.go", `if token == "" || strings.Trim(`, `if false && strings.Trim(`,
		subjectsTest + "TestBases",
	},
	{
		"contract: the base's length", "subjects stay below what a server takes",
		"proto/rollcall/v1/subjects.go", `if len(base) > maxBase {`, `if false {`,
		subjectsTest + "TestBases",
	},
}

var wireGuards = []guard{
	{
		"wire: oversize", "one payload costs no more than 256 KiB",
		"internal/wire/decoder.go", `if len(payload) > rollcallv1.MaxPayload {`, `if false {`, wireTest,
	},
	{
		"wire: a refused event is empty", "nothing of a refused payload can be folded",
		"internal/wire/decoder.go", "if refusal != nil {\n\t\tempty(e)", "if refusal != nil {", wireTest,
	},
	{
		"wire: the content type", "a payload said to be neither JSON nor protobuf is not guessed at",
		"internal/wire/decoder.go", `case err == nil && (media == rollcallv1.ContentTypeProtobuf || media == rollcallv1.ContentTypeXProtobuf):`, `default:`, wireTest,
	},
	{
		"wire: the subject's machine", "nobody logs in on a machine that the subject does not name",
		"internal/wire/decoder.go", `if err == nil && named == machine {`, `if err == nil {`, wireTest,
	},
	{
		"wire: the subject's spelling", "the subject that permissions are bound to is the one spelling",
		"internal/wire/decoder.go", `if ok && token == machine && rollcallv1.EncodeMachine(machine) == token {`, `if ok && token == machine {`, wireTest,
	},
	{
		"wire: space kept for sessions", "one large event does not stay in memory",
		"internal/wire/decoder.go", `if cap(sessions) > keptSessions {`, `if false {`, "./internal/wire TestSpaceOfSessions",
	},
	{
		"wire: space is emptied", "no event shows through into the next",
		"internal/wire/decoder.go", "\tclear(sessions)\n", "", "./internal/wire TestSpaceOfSessions",
	},
	{
		"wire: byte-order mark", "it is told as what it is",
		"internal/wire/json.go", `case bytes.HasPrefix(payload, []byte("\uFEFF")):`, `case false:`, wireTest,
	},
	{
		"wire: one object", "a list or a string is no event",
		"internal/wire/json.go", `case kind != '{' && kind != jsontext.KindInvalid:`, `case false:`, wireTest,
	},
	{
		"wire: nothing after the object", "a payload is an event to the last byte",
		"internal/wire/json.go", `len(rest) > 0 {`, `false {`, wireTest,
	},
	{
		"wire: wrong letter case", "MACHINE is a mistake, not an unknown key",
		"internal/wire/json.go", `known.has(f) && strings.EqualFold(fieldNames[f], key)`, `known.has(f) && strings.EqualFold(fieldNames[f], "")`, wireTest,
	},
	{
		"wire: a value of another type", "a number is no name",
		"internal/wire/draft.go", `if (d.wrong & set).has(f) {`, `if false {`, wireTest,
	},
	{
		"wire: an entry of another type", "a present is judged whole",
		"internal/wire/draft.go", `if d.entryMalformed != "" {`, `if false {`, wireTest,
	},
	{
		"wire: one session listed twice", "what a present says of a session is one thing",
		"internal/wire/draft.go", `findTwice(e.Sessions); twice {`, `findTwice(e.Sessions); false && twice {`, wireTest,
	},
	{
		"wire: the same among many", "the quick way for long lists finds it too",
		"internal/wire/twice.go", "if i, twice := first[key]; twice {", "if i, twice := first[key]; false && twice {", wireTest,
	},
	{
		"wire: no date", "an event without a date has no place in the order",
		"internal/wire/draft.go", `case !d.date.given:`, `case false:`, wireTest,
	},
	{
		"wire: no type", "missing_field is told before unknown_type",
		"internal/wire/draft.go", `case d.typeText == "":`, `case false:`, wireTest,
	},
	{
		"wire: no machine", "no machine has an empty name",
		"internal/wire/draft.go", `case e.Machine == "":`, `case false:`, wireTest,
	},
	{
		"wire: a login of nobody", "no user has an empty name",
		"internal/wire/draft.go", `case e.Type == roster.Login && e.Session.User == "":`, `case false:`, wireTest,
	},
	{
		"wire: a logout of nobody", "a logout says whom, or which session",
		"internal/wire/draft.go", `case e.Type == roster.Logout && e.Session.User == "" && e.Session.ID == "":`, `case false:`, wireTest,
	},
	{
		"wire: an entry of nobody", "no user has an empty name",
		"internal/wire/draft.go", `if e.Sessions[i].User == "" {`, `if false {`, wireTest,
	},
	{
		"wire: unknown type", "what is not known is not folded",
		"internal/wire/draft.go", "if d.typ != 0 {\n\t\treturn nil", "if true {\n\t\treturn nil", wireTest,
	},
	{
		"wire: bad date", "no date is guessed",
		"internal/wire/draft.go", `case d.date.problem != "":`, `case false:`, wireTest,
	},
	{
		"wire: bad since", "no date is guessed",
		"internal/wire/draft.go", `case set.has(fieldSessions) && d.entryDate != "":`, `case false:`, wireTest,
	},
	{
		"wire: form of a date", "time.Parse's leniency is not ours",
		"internal/wire/date.go", `|| s[10] != 'T' && s[10] != ' ' {`, `{`, wireTest,
	},
	{
		"wire: digits of a date", "a sign is no digit",
		"internal/wire/date.go", `case min(year, month, day, hour, minute, second) < 0:`, `case false:`, wireTest,
	},
	{
		"wire: no such day", "February 30 is not March 2",
		"internal/wire/date.go", `case month < 1 || month > 12 || day < 1 || day > daysIn(year, month):`, `case false:`, wireTest,
	},
	{
		"wire: leap seconds", "23:59:60 is not the next day",
		"internal/wire/date.go", `case second == 60:`, `case false:`, wireTest,
	},
	{
		"wire: no such time", "25:00 is not 01:00",
		"internal/wire/date.go", `case hour > 23 || minute > 59 || second > 59:`, `case false:`, wireTest,
	},
	{
		"wire: decimals of a second", "no decimal is cut off",
		"internal/wire/date.go", `case end > 10:`, `case false:`, wireTest,
	},
	{
		"wire: offset of a date", "+24:00 is no offset",
		"internal/wire/date.go", `if min(hours, minutes) < 0 || hours > 23 || minutes > 59 {`, `if false {`, wireTest,
	},
	{
		"wire: range of dates", "dates never overflow",
		"internal/wire/date.go", `if seconds < int64(roster.MinDate/perSecond) || seconds > int64(roster.MaxDate/perSecond) {`, `if false {`, wireTest,
	},
	{
		"wire: nanoseconds of a timestamp", "a date in protobuf is in range",
		"internal/wire/date.go", `if 0 <= t.nanos && t.nanos < int32(time.Second) {`, `if true {`, wireTest,
	},
	{
		"wire: length of a name", "a name fits a subject, a cursor and a label",
		"internal/wire/name.go", `if len(s) > maxName {`, `if false {`, wireTest,
	},
	{
		"wire: control characters", "no name breaks a line, a log or a terminal",
		"internal/wire/name.go", `case unicode.IsControl(r):`, `case false:`, wireTest,
	},
	{
		"wire: characters that don't show", "two names that differ look different",
		"internal/wire/name.go", `case isHidden(before, r):`, `case isHidden(before, r) && false:`, wireTest,
	},
	{
		"wire: what is drawn as nothing", "two names that differ look different",
		"internal/wire/name.go", `unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl`, `unicode.In(r, unicode.Zl`, wireTest,
	},
	{
		"wire: nothing but white space", "no name is a blank",
		"internal/wire/name.go", `strings.TrimLeft(s, " ") == "" {`, `strings.TrimLeft(s, " ") == "-" {`, wireTest,
	},
	{
		"wire: names of entries", "the users of a present are judged as those of a login",
		"internal/wire/draft.go", "if f, what := textProblem(&e.Sessions[i]); what != \"\" {", "if f, what := textProblem(&e.Sessions[i]); false {", wireTest,
	},
	{
		"wire: UTF-8 in protobuf", "no name is repaired: two never become one",
		"internal/wire/protobuf.go", `!utf8.Valid(m.bytes) {`, `!(true || utf8.Valid(m.bytes)) {`, wireTest,
	},
	{
		"wire: wire types", "a known field of another wire type is no field to pass over",
		"internal/wire/protobuf.go", `if m.field != noField && kind != wireType(m.field) {`, `if false {`, wireTest,
	},
	{
		"wire: field numbers", "what proto.Unmarshal refuses is refused",
		"internal/wire/protobuf.go", `if n >= 0 && number > protowire.MaxValidNumber {`, `if false {`, wireTest,
	},
	{
		"wire: a value cut short", "a payload that was cut off is no shorter event",
		"internal/wire/protobuf.go", "if size < 0 {\n\t\treturn m.fail(wireProblem(size))", "if size < 0 {\n\t\tm.rest = nil\n\t\treturn false", wireTest,
	},
	{
		"wire: what does not belong to the type", "a field that does not belong decides nothing",
		"internal/wire/draft.go", `if !set.has(fieldUser) {`, `if false {`, "./internal/wire ^TestAccepted",
	},
	{
		"wire: sessions of no present", "a field that does not belong decides nothing",
		"internal/wire/draft.go", "if !set.has(fieldSessions) {\n\t\te.Sessions", "if false {\n\t\te.Sessions", "./internal/wire ^TestAccepted",
	},
	{
		"wire: encoding repairs nothing", "an event that is not valid is refused, not changed into one that is",
		"internal/wire/append.go", "dst = append(dst, c)\n\t\t}\n\t}", "dst = append(dst, string(rune(c))...)\n\t\t}\n\t}", "./internal/wire TestAppendRepairsNothing",
	},
	{
		"wire: hostile text in a refusal", "a refusal is one line of at most 200 bytes",
		"internal/wire/refusal.go", `Problem: cut(fmt.Sprintf(format, args...), maxProblem)`, `Problem: fmt.Sprintf(format, args...)`, wireTest,
	},
}
