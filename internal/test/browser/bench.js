// Measures the budgets of the page: npm run bench
//
// For fleets of --machines 10000,100000 it prints a table: how much later than a bare NATS subscriber to
// changes a row changes in a browser, with 50 views open; when a page is first painted, against an empty
// one with the same headers; how long a jump in the list of machines takes; how many bytes a first visit
// transfers, and how many elements a page has; how much memory the page's process needs for a machine and
// for a view. --json FILE writes the numbers, --only latency,paint,jump,size,memory selects, --samples N
// says how many logins are measured. Nothing else should run on the machine.

import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { eventually, launch, open } from "./harness/browser.js";
import { choose, machinePath, userPath } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

const { values: flags } = parseArgs({
  options: {
    machines: { type: "string", default: "10000,100000" },
    hours: { type: "string" },
    views: { type: "string", default: "50" },
    samples: { type: "string", default: "300" },
    only: { type: "string", default: "memory,latency,paint,jump,size" },
    json: { type: "string" },
  },
});
const views = Number(flags.views);
const only = flags.only.split(",");
const results = [];

const quantile = (all, q) => [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * q))];
const median = (all) => quantile(all, 0.5);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function report(machines, what, measured, budget, met) {
  results.push({ machines, what, measured, budget, met });
  console.log(`| ${machines} | ${what} | ${measured} | ${budget} | ${met ? "met" : "missed"} |`);
}

console.log("| machines | what | measured | budget | verdict |\n|---|---|---|---|---|");
const browser = await launch();
try {
  // What the process needs for no fleet at all.
  const empty = only.includes("memory") ? await withDemo(3, (demo) => resident(demo)) : 0;
  for (const machines of flags.machines.split(",").map(Number)) {
    await withDemo(machines, async (demo) => {
      if (only.includes("memory")) await memory(demo, machines, empty);
      if (only.includes("latency")) await latency(demo, machines);
      if (only.includes("paint")) await paint(demo, machines);
      if (only.includes("jump")) await jump(demo, machines);
      if (only.includes("size")) await size(demo, machines);
    });
  }
} finally {
  await browser.close();
}
if (flags.json) await writeFile(flags.json, JSON.stringify(results, null, 2) + "\n");

async function withDemo(machines, use) {
  const demo = await startDemo({ machines, hours: Number(flags.hours ?? (machines > 200_000 ? 2 : 26)), rate: 5 });
  try {
    // The page has read the fleet once it shows it.
    await eventually("the page shows the fleet", async () => (await (await fetch(demo.url("/machines"))).text()).includes(`data-total="${machines}"`), 120_000);
    const nats = await demo.connection();
    await eventually(
      "the history has caught up",
      async () => {
        const status = JSON.parse(await nats.request("rollcall.query.status", ""));
        return status.history.place > status.place - 1000;
      },
      600_000,
    );
    await sleep(machines > 10_000 ? 30_000 : 5_000); // until it rests
    return await use(demo);
  } finally {
    await demo.end();
  }
}

// resident is how much memory of its own the page's process has, in bytes, once it rests: Go collects
// garbage at the latest after two minutes, and then gives memory back.
async function resident(demo) {
  await sleep(150_000);
  const read = async () => Number((await readFile(`/proc/${demo.page_pid}/status`, "utf8")).match(/RssAnon:\s+(\d+)/)[1]) * 1024;
  const some = [];
  for (let i = 0; i < 10; i++) {
    await sleep(500);
    some.push(await read());
  }
  return median(some);
}

async function memory(demo, machines, empty) {
  await demo.command("pause");
  const without = await resident(demo);
  const perMachine = (without - empty) / machines / 1024;
  report(machines, "memory of the page's process for a machine", `${perMachine.toFixed(2)} KB (${(without / 2 ** 20).toFixed(0)} MB in all)`, "≤ 1.5 KB", perMachine <= 1.5);
  // Each of many more views: what the first ones cost is also what they made others read.
  const first = await openViews(demo, views);
  const few = await resident(demo);
  const more = await openViews(demo, 7 * views, views);
  const perView = ((await resident(demo)) - few) / (7 * views) / 1024;
  await first.close();
  await more.close();
  await demo.command("resume");
  report(machines, "memory of the page's process for a view", `${perView.toFixed(0)} KB (${(few / 2 ** 20).toFixed(0)} MB with ${views})`, "≤ 100 KB", perView <= 100);
}

// openViews opens streams as the page's script does, of several pages, in another thread, from other
// addresses than those of so many before.
async function openViews(demo, n, after = 0) {
  const { busy, several } = await choose(demo);
  const worker = new Worker(new URL("./harness/views.js", import.meta.url), {
    workerData: { page: demo.page, n, after, paths: ["/", "/machines", machinePath(busy), "/users", userPath(several)] },
  });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return { close: () => worker.terminate() };
}

// latency measures from the publishing of a login to the change of its row in a browser, and to
// the arrival of the change at a bare subscriber.
async function latency(demo, machines) {
  const crowd = await openViews(demo, views - 1);
  const nats = await demo.connection();
  const arrived = new Map();
  nats.subscribe("rollcall.changes.>", (payload) => {
    const change = JSON.parse(payload);
    for (const user of change.came ?? []) if (user.startsWith("bench.")) arrived.set(user, Date.now());
  });
  const page = await open(browser, demo.url("/machines"));
  await page.evaluate(() => {
    window.shown = {};
    const note = () => {
      for (const link of document.querySelectorAll("#list td.who a")) {
        const user = link.textContent;
        if (user.startsWith("bench.") && !(user in window.shown)) window.shown[user] = Date.now();
      }
    };
    new MutationObserver(note).observe(document.querySelector("#rows"), { childList: true, subtree: true, characterData: true });
  });
  const rows = await page.locator("#list tr[data-key]").evaluateAll((all) => all.slice(0, 10).map((row) => row.dataset.key));
  const published = new Map();
  const samples = Number(flags.samples), pause = 230;
  for (let i = 0; i < samples + 20; i++) {
    const user = `bench.${i}`;
    published.set(user, Date.now());
    await demo.publish({ type: "login", machine: rows[i % rows.length], user, session: user });
    if (i >= 20) {
      // So few are on at once that a row shows all of them.
      const gone = `bench.${i - 20}`;
      await demo.publish({ type: "logout", machine: rows[(i - 20) % rows.length], user: gone, session: gone });
    }
    await sleep(pause * (0.5 + Math.random()));
  }
  await sleep(5000);
  const shown = await page.evaluate(() => window.shown);
  await page.context().close();
  await crowd.close();
  const bare = [], dom = [];
  let lost = 0;
  for (const [user, at] of published) {
    if (!arrived.has(user) || !shown[user]) {
      lost++;
      continue;
    }
    bare.push(arrived.get(user) - at);
    dom.push(shown[user] - at);
  }
  for (const [name, q] of [["p50", 0.5], ["p99", 0.99]]) {
    const ratio = quantile(dom, q) / quantile(bare, q);
    report(machines, `published → changed row, ${views} views, ${name}, against a bare subscriber`, `${quantile(dom, q)} against ${quantile(bare, q)} ms: ${ratio.toFixed(2)}`, "≤ 1.2", ratio <= 1.2 && lost === 0);
  }
  if (lost > 0) console.error(`${lost} of ${published.size} logins were not seen on both sides`);
}

// paint measures the first paint of content of the fleet's page, and of a page with nothing on it that has
// the same headers: for their sake the browser starts another process, whatever the page has.
async function paint(demo, machines) {
  const { headers } = await fetch(demo.url("/"));
  const server = createServer((_, response) => {
    for (const name of ["content-type", "cache-control", "content-security-policy", "cross-origin-opener-policy", "cross-origin-resource-policy", "referrer-policy"]) {
      response.setHeader(name, headers.get(name));
    }
    response.end('<!doctype html><html lang="en"><title>Empty</title><link rel="icon" href="data:,"><p>Empty</p>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bare = `http://127.0.0.1:${server.address().port}/`;
  const times = { [bare]: [], [demo.url("/")]: [] };
  for (let i = 0; i < 16; i++) {
    for (const url of Object.keys(times)) {
      const page = await open(browser, url);
      const at = await page.evaluate(
        () =>
          new Promise((resolve) => {
            new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach((entry) => resolve(entry.startTime))).observe({ type: "paint", buffered: true });
          }),
      );
      if (i > 0) times[url].push(at);
      await page.context().close();
    }
  }
  server.close();
  const [empty, fleet] = Object.values(times).map(median);
  report(machines, "first paint, against an empty page with the same headers", `${fleet.toFixed(0)} against ${empty.toFixed(0)} ms: ${(fleet / empty).toFixed(1)}`, "≤ 4", fleet / empty <= 4);
}

// jump measures from a jump of the scroll bar until the rows there are drawn.
async function jump(demo, machines) {
  const page = await open(browser, demo.url("/machines"));
  await page.waitForTimeout(1000);
  const times = [];
  for (let i = 0; i < 60; i++) {
    const took = await page.evaluate(
      (share) =>
        new Promise((resolve, reject) => {
          const rows = document.querySelector("#rows"), start = performance.now();
          rows.scrollTop = (rows.scrollHeight - rows.clientHeight) * share;
          const look = () => {
            const box = rows.getBoundingClientRect();
            // A row at three places of the window says that the window is full.
            const full = [0.3, 0.6, 0.9].every((y) => {
              const row = document.elementFromPoint(box.left + 40, box.top + box.height * y)?.closest("tr[data-key]");
              return row?.querySelector("a") !== null && row !== null && row !== undefined;
            });
            if (full) return resolve(performance.now() - start);
            if (performance.now() - start > 10_000) return reject(new Error("no rows after 10 s"));
            requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        }),
      Math.random(),
    );
    times.push(took);
    await page.waitForTimeout(100 + 300 * Math.random());
  }
  await page.context().close();
  const p99 = quantile(times, 0.99);
  report(machines, "a jump anywhere in the list", `p50 ${median(times).toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`, "≤ 250 ms", p99 <= 250);
}

// size measures what a first visit transfers until the page is loaded, and how many elements it has.
async function size(demo, machines) {
  const { busy, several } = await choose(demo);
  for (const [name, path] of Object.entries({ fleet: "/", machines: "/machines", machine: machinePath(busy), users: "/users", user: userPath(several), service: "/service" })) {
    const page = await open(browser, demo.url("/livez"), { expected: /404/ });
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.clearBrowserCache");
    let bytes = 0;
    session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
    await page.goto(demo.url(path), { waitUntil: "load" });
    const elements = await page.evaluate(() => document.querySelectorAll("*").length);
    await page.context().close();
    report(machines, `the page ${name}, cold`, `${(bytes / 1024).toFixed(1)} KiB, ${elements} elements`, "≤ 60 KiB, ≤ 2,000", bytes <= 60 * 1024 && elements <= 2000);
  }
}
