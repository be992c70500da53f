-- The tables of history.db, version 3. Dates are nanoseconds since 1970-01-01T00:00:00Z.
-- Read the views in views.sql: the tables may change with any version of rollcall.

create table meta (
	name  text primary key,
	value any not null
) strict, without rowid;

create table machines (
	id     integer primary key,
	name   text not null unique,
	first  integer not null, -- the earliest date that its events tell of
	newest integer not null, -- the newest date of its events
	reset  integer           -- the newest date of its boots, shutdowns and presents
) strict;

create table users (
	id   integer primary key,
	name text not null unique
) strict;

create table details (
	id       integer primary key,
	remote   text not null,
	service  text not null,
	terminal text not null,
	unique (remote, service, terminal)
) strict;

-- The stays that have ended. A stay of class c lasted less than 2^(40+4c) nanoseconds, so
-- those of a class that were on at a moment began in a span as long as that before it.
create table ended (
	class   integer not null,
	since   integer not null,
	machine integer not null,
	n       integer not null, -- tells those apart that are equal so far
	user    integer not null,
	session text    not null,
	ended   integer not null,
	how     integer not null,
	unseen  integer not null, -- 1: nobody saw it begin, and since is when it ended
	detail  integer not null,
	primary key (class, since, machine, n)
) strict, without rowid;

-- Where the stays of a user, and of a machine, are among those that have ended. Each is
-- in one of two tables; new ones are in the first.
create table by_user0 (
	user    integer not null,
	class   integer not null,
	since   integer not null,
	machine integer not null,
	n       integer not null,
	primary key (user, class, since, machine, n)
) strict, without rowid;

create table by_user1 (
	user    integer not null,
	class   integer not null,
	since   integer not null,
	machine integer not null,
	n       integer not null,
	primary key (user, class, since, machine, n)
) strict, without rowid;

create table by_machine0 (
	machine integer not null,
	class   integer not null,
	since   integer not null,
	n       integer not null,
	primary key (machine, class, since, n)
) strict, without rowid;

create table by_machine1 (
	machine integer not null,
	class   integer not null,
	since   integer not null,
	n       integer not null,
	primary key (machine, class, since, n)
) strict, without rowid;

-- The stays that are open.
create table open (
	machine integer not null,
	session text    not null,
	user    integer not null,
	since   integer not null,
	began   integer not null, -- the earliest date that its events tell of
	reset   integer,          -- the machine's reset then
	detail  integer not null,
	primary key (machine, session, user)
) strict, without rowid;

create index open_by_user on open (user);

-- Logouts that ended no stay of their key.
create table strays (
	machine integer not null,
	date    integer not null,
	session text    not null,
	user    integer not null,
	primary key (machine, date, session, user)
) strict, without rowid;

-- Boots and shutdowns.
create table marks (
	machine integer not null,
	date    integer not null,
	type    integer not null,
	primary key (machine, date, type)
) strict, without rowid;

-- The classes that there are stays of.
create table classes (
	class integer primary key,
	span  integer not null -- 2^(40+4*class) nanoseconds, at most 2^63-1
) strict;

-- The events of each machine that a late one may still come before, and who was on
-- before them, in chunks.
create table windows (
	id      integer primary key, -- 2^32 times the machine, and a number
	start   integer not null, -- its events are dated at this or later, and before the next
	through integer not null, -- of the last: the place up to which the window has all
	base    blob not null,
	events  blob not null
) strict;

-- The events that are in no window yet.
create table recent (
	place  integer primary key, -- up to which
	events blob not null
) strict;

-- What decided from a place on what became of messages.
create table settings (
	place    integer primary key,
	settings text not null
) strict;

-- What was lost, and the spans in which a machine may therefore lack stays.
create table losses (
	place    integer primary key,
	reason   text not null,
	resumed  integer, -- the receipt of the first message read after it
	accepted integer not null default 0
) strict;

create table doubts (
	machine integer not null,
	since   integer not null,
	until   integer,
	reason  text not null,
	loss    integer, -- the place of the loss; null: of this machine alone
	after   integer, -- a boot, shutdown or present dated after this ends it; null: see losses
	primary key (machine, since)
) strict, without rowid;

create index doubts_by_until on doubts (until, machine);
