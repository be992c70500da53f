package guards

const (
	inOrder = "./internal/snapshot TestSaveAsksInOrder"
	hostile = "./internal/snapshot TestHostile"
)

var snapshotGuards = []guard{
	{
		"snapshot: the file of the last one is there", "a snapshot that was removed is written again, though nothing has changed",
		"internal/snapshot/save.go", `unchanged(r.Status(), last.Status) && s.there(last) {`, `unchanged(r.Status(), last.Status) {`, "./cmd/rollcall TestFolderRemoved/the_snapshots",
	},
	{
		"snapshot: fsync of the file", "what has its name is on the disk",
		"internal/snapshot/save.go", "failpoint.At(\"snapshot-written\")\n\t\terr = f.Sync()", "failpoint.At(\"snapshot-written\")", inOrder,
	},
	{
		"snapshot: errors of close", "a file that was not written whole gets no name",
		"internal/snapshot/save.go", `if closed := f.Close(); err == nil {`, `if closed := f.Close(); false {`, "./internal/snapshot TestEveryCallFails",
	},
	{
		"snapshot: fsync of the folder", "the name lasts",
		"internal/snapshot/save.go", "if err := s.folder.sync(); err != nil {", "if err := error(nil); err != nil {", inOrder,
	},
	{
		"snapshot: read again", "a snapshot that cannot be read replaces none",
		"internal/snapshot/save.go", `if err := s.confirm(ctx, info); err != nil {`, `if err := s.folder.sync(); err != nil {`, "./internal/snapshot TestSaveVerifies",
	},
	{
		"snapshot: it is what was written", "a snapshot of something else replaces none",
		"internal/snapshot/save.go", `if got.StateDigest != want.StateDigest || got.Size != want.Size {`, `if false && got.Size != want.Size {`, "./internal/snapshot TestSaveVerifies",
	},
	{
		"snapshot: it waits for what goes elsewhere", "no dead letter is lost by a crash",
		"internal/snapshot/save.go", `if s.Settled != nil {`, `if false {`, "./internal/snapshot TestSaveWaitsForSettled",
	},
	{
		"snapshot: a free name", "no snapshot is overwritten",
		"internal/snapshot/save.go", `at, err := s.folder.free(place)`, `at, err := entry{place, 1}, error(nil)`, "./internal/snapshot TestTakenPlaceIsNotOverwritten",
	},
	{
		"snapshot: what failed is removed", "an abort is never a commit",
		"internal/snapshot/save.go", `if err := s.folder.disk.remove(path); err != nil &&`, `if err := error(nil); err != nil &&`, "./internal/snapshot TestSaveWaitsForSettled",
	},
	{
		"snapshot: nothing new", "a quiet fleet writes nothing",
		"internal/snapshot/save.go", `unchanged(r.Status(), last.Status) && s.there(last) {`, `false {`, "./internal/snapshot TestSaveAndLoad",
	},
	{
		"snapshot: accepted losses are new", "what an operator has accepted stays so",
		"internal/snapshot/save.go", ` && now.Losses == saved.Losses`, ``, "./internal/snapshot TestSaveAfterLossesWereAccepted",
	},
	{
		"snapshot: one at a time", "no save removes the unfinished file of another",
		"internal/snapshot/save.go", "s.saving.Lock()\n\tdefer s.saving.Unlock()\n", "", "./internal/snapshot TestSavesTakeTurns",
	},
	{
		"snapshot: looks again while it fails", "an alarm ends by itself when the disk works again",
		"internal/snapshot/save.go", "\t\ts.recheck()\n", "", "./internal/snapshot ^TestFullAndReadOnly$",
	},
	{
		"snapshot: a failure is no end", "the next interval tries again with a new file",
		"internal/snapshot/save.go", "\t\t\t\ts.complain(err)\n", "\t\t\t\treturn err\n", "./internal/snapshot TestRunGoesOnAfterFailures",
	},
	{
		"snapshot: one that was given up is no failure", "an end raises no alarm",
		"internal/snapshot/trouble.go", `if errors.Is(err, context.Canceled) {`, `if false && errors.Is(err, context.Canceled) {`, "./internal/snapshot TestSaveIsInterruptible",
	},
	{
		"snapshot: the last one", "an end loses no time of the next start",
		"internal/snapshot/save.go", `context.WithTimeout(context.WithoutCancel(ctx), lastSave)`, `context.WithTimeout(ctx, lastSave)`, "./internal/snapshot TestRunSavesWhatChanged",
	},
	{
		"snapshot: the last one is bounded", "SIGTERM ends within 5 seconds",
		"internal/snapshot/save.go", `context.WithTimeout(context.WithoutCancel(ctx), lastSave)`, `context.WithTimeout(context.WithoutCancel(ctx), 100*lastSave)`, "./internal/snapshot TestRunEnds",
	},
	{
		"snapshot: writing can be interrupted", "SIGTERM ends within 5 seconds",
		"internal/snapshot/save.go", "func (i interruptible) Write(p []byte) (int, error) {\n\tif err := i.ctx.Err(); err != nil {", "func (i interruptible) Write(p []byte) (int, error) {\n\tif err := i.ctx.Err(); false {",
		"./internal/snapshot TestSaveIsInterruptible",
	},
	{
		"snapshot: verifying can be interrupted", "SIGTERM ends within 5 seconds",
		"internal/snapshot/save.go", "func (i interruptible) Read(p []byte) (int, error) {\n\tif err := i.ctx.Err(); err != nil {", "func (i interruptible) Read(p []byte) (int, error) {\n\tif err := i.ctx.Err(); false {",
		"./internal/snapshot TestSaveIsInterruptible",
	},
	{
		"snapshot: three are kept", "should the newest be damaged, an older one helps",
		"internal/snapshot/folder.go", `if keep--; keep >= 0 {`, `if keep--; keep >= 2 {`, "./internal/snapshot TestSaveAndLoad",
	},
	{
		"snapshot: more than three are removed", "the disk does not fill",
		"internal/snapshot/folder.go", `if keep--; keep >= 0 {`, `if true {`, "./internal/snapshot TestSaveAndLoad",
	},
	{
		"snapshot: newer places stay", "what may be good is not removed",
		"internal/snapshot/folder.go", `if e.compare(last) < 0 || !f.known(e) {`, `if !f.known(e) {`, "./internal/snapshot TestNothingAboveIsDropped",
	},
	{
		"snapshot: newer formats stay", "going back to an older program loses nothing",
		"internal/snapshot/folder.go", `if e.compare(last) < 0 || !f.known(e) {`, `if e.compare(last) < 0 {`, "./internal/snapshot TestNewerFormatIsLeftAlone",
	},
	{
		"snapshot: a newer format is no damage", "going back to an older program loses nothing",
		"internal/snapshot/store.go", `if errors.Is(why, ErrNewer) {`, `if false {`, "./internal/snapshot TestNewerFormatIsLeftAlone",
	},
	{
		"snapshot: what the disk would not give", "a snapshot that may be good is not set aside",
		"internal/snapshot/store.go", `errors.AsType[*fs.PathError](why); failed {`, `errors.AsType[*fs.PathError](why); failed && false {`, "./internal/snapshot TestUnreadableIsLeftWhereItIs",
	},
	{
		"snapshot: set aside, never overwritten", "what is damaged stays to be looked at",
		"internal/snapshot/folder.go", `for n := 2; taken[name]; n++ {`, `for n := 2; false; n++ {`, "./internal/snapshot TestLoadPassesDamagedOnes",
	},
	{
		"snapshot: a damaged one is set aside", "it is neither loaded nor dropped later",
		"internal/snapshot/store.go", `name, err := s.folder.setAside(e)`, `name, err := "", error(nil)`, "./internal/snapshot TestLoadPassesDamagedOnes",
	},
	{
		"snapshot: another place than its name's", "a renamed file is not the newest",
		"internal/snapshot/store.go", `if err == nil && info.Status.Position.Place != e.place {`, `if false {`, "./internal/snapshot TestLoadPassesMisnamedOnes",
	},
	{
		"snapshot: names that are none", "nobody else's file raises an alarm",
		"internal/snapshot/folder.go", `return e, e.String() == name`, `return e, true`, "./internal/snapshot TestLoadPassesMisnamedOnes",
	},
	{
		"snapshot: unfinished files", "crashes do not fill the disk",
		"internal/snapshot/folder.go", `if tempName.MatchString(file.Name()) {`, `if false {`, "./internal/snapshot TestOpenRemovesWhatACrashLeft",
	},
	{
		"snapshot: a folder that cannot be written to", "it is told at the start",
		"internal/snapshot/store.go", `if !passing(err) {`, `if false {`, "./internal/snapshot TestOpenRefusesAFolderThatItCannotWriteTo",
	},
	{
		"snapshot: a full disk", "the service starts, with an alarm",
		"internal/snapshot/store.go", `if !passing(err) {`, `if true {`, "./internal/snapshot TestBeginsFullWithoutAFolder",
	},
	{
		"snapshot: no folder yet", "the service starts, with an alarm",
		"internal/snapshot/folder.go", `if err != nil && !errors.Is(err, fs.ErrNotExist) {`, `if err != nil && (true || errors.Is(err, fs.ErrNotExist)) {`, "./internal/snapshot TestBeginsFullWithoutAFolder",
	},
	{
		"snapshot: the beginning of a file", "another file is told as what it is",
		"internal/snapshot/section.go", `if string(b[:len(magic)]) != magic {`, `if false {`, scripts + "snapshot_inspect",
	},
	{
		"snapshot: checksum of the version", "a changed bit does not make a newer format, which would be left alone",
		"internal/snapshot/section.go", `if binary.LittleEndian.Uint32(b[at:]) != crcOf(b[:at]) {`, `if false && crcOf(b[:at]) == 0 {`, "./internal/snapshot TestFormatOfAnotherVersion",
	},
	{
		"snapshot: version above ours", "what only a newer program can read is not read",
		"internal/snapshot/section.go", `case format > Format:`, `case false:`, "./internal/snapshot TestFormatOfAnotherVersion",
	},
	{
		"snapshot: version below ours", "what nobody wrote is not read",
		"internal/snapshot/section.go", `case format == 0:`, `case false:`, "./internal/snapshot TestFormatOfAnotherVersion",
	},
	{
		"snapshot: checksum of a section", "no damaged header gives a position to go back to",
		"internal/snapshot/section.go", `if binary.LittleEndian.Uint32(all[at:]) != crcOf(all[:at]) {`, `if false {`, "./internal/snapshot TestDamageOfTheHeader",
	},
	{
		"snapshot: length of a section", "memory grows only with what was read",
		"internal/snapshot/section.go", `if length > k.maxLength() {`, `if false {`, hostile,
	},
	{
		"snapshot: unknown sections", "what is not known is not passed over",
		"internal/snapshot/section.go", `if k.maxLength() == 0 {`, `if false {`, hostile,
	},
	{
		"snapshot: the header first", "a body is not read without the settings that it was made with",
		"internal/snapshot/read.go", `if err == nil && k != kindHeader {`, `if false {`, hostile,
	},
	{
		"snapshot: one header", "a file says one thing",
		"internal/snapshot/read.go", `err = fmt.Errorf("section of kind %q: a second one", byte(k))`, ``, hostile,
	},
	{
		"snapshot: the trailer", "a section that is missing, twice there or of another file is noticed",
		"internal/snapshot/read.go", `if !bytes.Equal(payload, want.append(nil)) {`, `if false && !bytes.Equal(payload, nil) {`, "./internal/snapshot TestTrailerOfAnotherFile",
	},
	{
		"snapshot: nothing after the trailer", "two files joined are none",
		"internal/snapshot/read.go", `if err := b.in.end(); err != nil {`, `if err := b.in.end(); false {`, "./internal/snapshot ^TestDamage$",
	},
	{
		"snapshot: length of a piece", "a small file cannot fill the memory",
		"internal/snapshot/read.go", `if length == 0 || length > min(maxPiece, maxExpansion*len(compressed)) {`, `if length == 0 {`, hostile,
	},
	{
		"snapshot: what a piece decompresses to", "a piece is what it says",
		"internal/snapshot/read.go", `if len(piece) != length {`, `if false {`, hostile,
	},
	{
		"snapshot: frames of a piece", "a small file cannot fill the memory",
		"internal/snapshot/read.go", `zstd.WithDecodeAllCapLimit(true)`, `zstd.WithDecodeAllCapLimit(false)`, hostile,
	},
	{
		"snapshot: pieces that expand too much", "what is written can be read",
		"internal/snapshot/write.go", `b.payload = fill(b.payload, pieceHead+len(b.piece)/maxExpansion+1)`, ``, "./internal/snapshot TestWhatExpandsTooMuchIsFilledUp",
	},
	{
		"snapshot: length of the header", "what is written can be read",
		"internal/snapshot/header.go", `if err == nil && len(b) > maxHeader {`, `if false {`, "./internal/snapshot TestErrorsOfTheReaderAndTheWriter",
	},
	{
		"snapshot: compression", "what only a newer program can read is not read",
		"internal/snapshot/header.go", `if j.Compression != compression {`, `if false {`, hostile,
	},
	{
		"snapshot: settings below nothing", "no file makes every event late",
		"internal/snapshot/header.go", `min(s.MaxSkew, s.AllowedLateness) < 0 || min(s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine) < 0 {`, `false && s.MaxSkew < 0 {`, hostile,
	},
	{
		"snapshot: unknown fates", "every place has one of the fates there are",
		"internal/snapshot/header.go", "return Header{}, fmt.Errorf(\"fate %q: unknown\", name)", "_ = name", hostile,
	},
	{
		"snapshot: unknown losses", "a loss that is not known is not forgotten",
		"internal/snapshot/header.go", "return Header{}, fmt.Errorf(\"loss %q: unknown\", name)", "_ = name", hostile,
	},
	{
		"snapshot: header and body", "they say the same",
		"internal/snapshot/read.go", `st.Fates != was.Fates || st.Receipt != was.Receipt || st.Losses != was.Losses {`, `false && st.Fates != was.Fates {`, hostile,
	},
}
