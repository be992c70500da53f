-- The views of history.db, for people. A file that lacks one gets it when it is opened.

-- Who was on: stays finds those of a user at once, stays_by_machine those of a machine.
-- Any other condition reads them all.
create view if not exists ended_named as
select m.name as machine, u.name as user, e.session,
	case e.unseen when 0 then strftime('%Y-%m-%dT%H:%M:%fZ', e.since / 1e9, 'unixepoch') end as since,
	strftime('%Y-%m-%dT%H:%M:%fZ', e.ended / 1e9, 'unixepoch') as ended,
	case e.how when 1 then 'logout' when 2 then 'replaced' when 3 then 'boot' when 4 then 'shutdown' else 'present' end as how,
	d.terminal, d.remote, d.service,
	case e.unseen when 0 then e.since end as since_ns, e.ended as ended_ns,
	e.class as k1, e.since as k2, e.machine as k3, e.n as k4, e.user as k5
from ended e join machines m on m.id = e.machine join users u on u.id = e.user join details d on d.id = e.detail;

create view if not exists open_named as
select m.name as machine, u.name as user, e.session,
	strftime('%Y-%m-%dT%H:%M:%fZ', e.since / 1e9, 'unixepoch') as since, null as ended, 'open' as how,
	d.terminal, d.remote, d.service, e.since as since_ns, null as ended_ns
from open e join machines m on m.id = e.machine join users u on u.id = e.user join details d on d.id = e.detail;

create view if not exists stays as
select s.machine, s.user, s.session, s.since, s.ended, s.how, s.terminal, s.remote, s.service, s.since_ns, s.ended_ns
from by_user0 i join ended_named s on s.k1 = i.class and s.k2 = i.since and s.k3 = i.machine and s.k4 = i.n and s.k5 = i.user
union all select s.machine, s.user, s.session, s.since, s.ended, s.how, s.terminal, s.remote, s.service, s.since_ns, s.ended_ns
from by_user1 i join ended_named s on s.k1 = i.class and s.k2 = i.since and s.k3 = i.machine and s.k4 = i.n and s.k5 = i.user
union all select machine, user, session, since, ended, how, terminal, remote, service, since_ns, ended_ns from open_named;

create view if not exists stays_by_machine as
select s.machine, s.user, s.session, s.since, s.ended, s.how, s.terminal, s.remote, s.service, s.since_ns, s.ended_ns
from by_machine0 i join ended_named s on s.k1 = i.class and s.k2 = i.since and s.k3 = i.machine and s.k4 = i.n
union all select s.machine, s.user, s.session, s.since, s.ended, s.how, s.terminal, s.remote, s.service, s.since_ns, s.ended_ns
from by_machine1 i join ended_named s on s.k1 = i.class and s.k2 = i.since and s.k3 = i.machine and s.k4 = i.n
union all select machine, user, session, since, ended, how, terminal, remote, service, since_ns, ended_ns from open_named;

-- The boots and shutdowns. Those of a machine are found at once.
create view if not exists boots as
select m.name as machine, strftime('%Y-%m-%dT%H:%M:%fZ', k.date / 1e9, 'unixepoch') as time,
	case k.type when 3 then 'boot' else 'shutdown' end as kind, k.date as time_ns
from machines m join marks k on k.machine = m.id;
