// Machines and users that are worth looking at, chosen by what rollcall says.

// spelled is a name as it stands in a path: as in a subject, then escaped.
export function spelled(name) {
  const bytes = [...Buffer.from(name)];
  const subject = bytes.map((b, i) => {
    const dot = b === 0x2e && (i === 0 || i === bytes.length - 1 || bytes[i - 1] === 0x2e);
    const special = b <= 0x20 || b >= 0x7f || "*>/%".includes(String.fromCharCode(b));
    return dot || special ? "%" + b.toString(16).toUpperCase().padStart(2, "0") : String.fromCharCode(b);
  });
  return encodeURIComponent(subject.join(""));
}

export const machinePath = (name) => `/machines/${spelled(name)}`;
export const userPath = (name) => `/users/${spelled(name)}`;

export const isAccount = (user) => user.startsWith("svc-");

// roster is all machines, now or with more arguments at a moment: ("--at", "-1h").
export async function roster(demo, ...args) {
  return [await demo.ask("report", ...args)].flat().flatMap((page) => page.machines);
}

// choose asks for the whole roster. It returns names: busy, the terminal server with most users;
// silent, a silent machine with somebody on; free, a machine with nobody on; several, the person on most
// machines; and report, the roster itself.
export async function choose(demo) {
  const machines = await roster(demo);
  const most = (list, size) => list.reduce((best, one) => (best === undefined || size(one) > size(best) ? one : best), undefined);
  const where = new Map();
  for (const m of machines) {
    for (const user of m.users) where.set(user, [...(where.get(user) ?? []), m.machine]);
  }
  return {
    report: machines,
    where,
    busy: most(machines.filter((m) => !m.silent && m.machine.startsWith("term-")), (m) => m.users.length)?.machine,
    silent: machines.find((m) => m.silent && m.users.length > 0)?.machine,
    free: machines.find((m) => !m.silent && m.users.length === 0)?.machine,
    several: most([...where.keys()].filter((u) => !isAccount(u)), (u) => where.get(u).length),
  };
}

// ago is a moment so many hours before the end of the demo's history, to the second, as in a URL.
export const ago = (demo, hours) => new Date(Date.parse(demo.now) - hours * 3600e3).toISOString().replace(/\.\d+Z$/, "Z");
