// Pages are live: what happens is shown, whatever is killed meanwhile, and what somebody points at
// holds still.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { eventually, launch, open, withPage } from "./harness/browser.js";
import { choose, machinePath, userPath } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

let browser, demo, chosen;

before(async () => {
  browser = await launch();
  demo = await startDemo({ machines: 300 });
  chosen = await choose(demo);
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

// Errors of a connection that was cut: the browser reports these itself.
const cutOff = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK|^50[234]:|status of 50[234]/;

const login = (machine, user, more) => demo.publish({ type: "login", machine, user, session: user, service: "sshd", ...more });
const logout = (machine, user) => demo.publish({ type: "logout", machine, user, session: user });
const state = async (page) => (await page.locator("#state").textContent()).trim();
const isLive = (page) => eventually("the page is live", async () => (await state(page)) === "Live", 30_000);

// rowsOf are the rows of the list in view, without what changes by itself.
const rowsOf = (page) =>
  page.locator("#list tr[data-key]").evaluateAll((rows) =>
    rows.map((row) => {
      const who = [...row.querySelectorAll(".who a")].map((a) => a.textContent);
      return `${row.dataset.key}: ${who.join(" ")}`;
    }),
  );

// chipsOf waits for the users in the row of a machine.
const chips = (page, machine) => page.locator(`#list tr[data-key="${machine}"] td.who`).innerText();

test("a row changes after an event, in place", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    await isLive(page);
    const machine = (await rowsOf(page))[2].split(":")[0];
    await page.evaluate((name) => (document.querySelector(`tr[data-key="${name}"]`).mine = true), machine);
    await login(machine, "somebody.new");
    await eventually("the login is shown", async () => (await chips(page, machine)).includes("somebody.new"));
    assert.equal(await page.evaluate((name) => document.querySelector(`tr[data-key="${name}"]`).mine, machine), true, "the row is another element");
    await logout(machine, "somebody.new");
    await eventually("the logout is shown", async () => !(await chips(page, machine)).includes("somebody.new"));
  });
});

test("no row is empty, before and after the first news", async () => {
  for (const path of ["/machines", "/users"]) {
    await withPage(browser, demo.url(path), {}, async (page) => {
      await isLive(page);
      await login(chosen.busy, "any.news");
      await eventually("news have come", async () => (await page.locator("#tabs").innerText()) && (await demo.ask("where", "any.news").catch(() => null)) !== null);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const empty = await page.locator("#list tr[data-key]").evaluateAll((rows) => rows.filter((row) => !row.querySelector("a")).map((row) => row.dataset.key));
      assert.deepEqual(empty, [], path);
      await logout(chosen.busy, "any.news");
    });
  }
});

test("each page shows it", async (t) => {
  const pages = {
    "/": (text) => text.includes("+") && text.includes("lane.fresh"),
    "/users": null,
    [machinePath(chosen.free)]: (text) => text.includes("lane.fresh"),
    [userPath(chosen.several)]: null,
  };
  for (const [path, shows] of Object.entries(pages)) {
    await t.test(path, () =>
      withPage(browser, demo.url(path), {}, async (page) => {
        await isLive(page);
        if (path === "/") {
          await login(chosen.free, "lane.fresh");
          await eventually("the feed shows it", async () => shows(await page.locator("#feed").innerText()));
        } else if (path === "/users") {
          await login(chosen.free, "aaa.first");
          await page.goto(demo.url("/users?q=aaa"));
          await eventually("the user is listed", async () => (await page.locator('#list tr[data-key="aaa.first"]').count()) === 1);
          await login(chosen.busy, "aaa.first");
          await eventually("on two machines", async () => (await page.locator('#list tr[data-key="aaa.first"]').innerText()).includes("2"));
        } else if (path.startsWith("/machines/")) {
          await login(chosen.free, "lane.fresh");
          await eventually("the session is shown", async () => (await page.locator("#sessions").innerText()).includes("lane.fresh"));
          await logout(chosen.free, "lane.fresh");
          await eventually("it is shown as ended", async () => !(await page.locator("#sessions").innerText()).includes("lane.fresh"));
        } else {
          await login(chosen.free, chosen.several);
          await eventually("the machine is shown", async () => (await page.locator("#sessions").innerText()).includes(chosen.free));
          await logout(chosen.free, chosen.several);
          await eventually("it is gone", async () => !(await page.locator("#sessions").innerText()).includes(chosen.free));
        }
      }),
    );
  }
});

test("the five numbers follow", async () => {
  await withPage(browser, demo.url("/"), {}, async (page) => {
    await isLive(page);
    const users = async () => Number((await page.locator("[data-total=users]").textContent()).replace(/\D/g, ""));
    const before = await users();
    await login(chosen.busy, "one.more");
    await eventually("one more user", async () => (await users()) === before + 1);
    await logout(chosen.busy, "one.more");
    await eventually("one fewer", async () => (await users()) === before);
  });
});

test("in a fleet of few, shown by names, a changed machine is framed for a moment, alone", async () => {
  const few = await startDemo({ machines: 20, hours: 1 });
  try {
    await withPage(browser, few.url("/"), {}, async (page) => {
      await isLive(page);
      const changed = () => page.locator("#map .few li.changed .name").allTextContents();
      assert.deepEqual(await changed(), []);
      await page.evaluate(() => {
        window.framed = new Set();
        new MutationObserver(() => {
          for (const li of document.querySelectorAll("#map .few li.changed")) {
            if (parseFloat(getComputedStyle(li).outlineWidth) > 0) window.framed.add(li.querySelector(".name").textContent);
          }
        }).observe(document.querySelector("#map"), { childList: true, subtree: true, attributes: true });
      });
      const machine = await page.locator("#map .few .name").nth(7).textContent();
      await few.publish({ type: "login", machine, user: "somebody.new", session: "1", service: "sshd" });
      await eventually("it is framed", () => page.evaluate(() => window.framed.size > 0));
      await eventually("the frame goes", async () => (await changed()).length === 0);
      assert.deepEqual(await page.evaluate(() => [...window.framed]), [machine]);
    });
  } finally {
    await few.end();
  }
});

test("a machine that was never heard of comes into the list", async () => {
  await withPage(browser, demo.url("/machines?q=aaa-new"), {}, async (page) => {
    assert.equal(await page.locator("#list tr[data-key]").count(), 0);
    await isLive(page);
    await login("aaa-new-machine", "lane");
    await eventually("it is listed", async () => (await page.locator('#list tr[data-key="aaa-new-machine"]').count()) === 1);
  });
});

test("rows do not move from under the pointer", async () => {
  await withPage(browser, demo.url("/machines?sort=users"), {}, async (page) => {
    await isLive(page);
    const row = page.locator("#list tr[data-key]").nth(3);
    const machine = await row.getAttribute("data-key");
    await row.hover();
    const order = (await rowsOf(page)).map((r) => r.split(":")[0]);
    const last = order.at(-1);
    const many = [...Array(120).keys()].map((i) => `crowd.${i}`);
    for (const user of many) await login(last, user);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal(await page.evaluate(() => document.querySelector("#list tr[data-key]:hover")?.dataset.key), machine);
    await page.mouse.move(5, 5);
    await eventually("once the pointer is gone, the order is right", async () => (await rowsOf(page))[0].startsWith(last), 20_000);
    for (const user of many) await logout(last, user);
  });
});

test("on a machine's page, too, rows do not move from under the pointer", async () => {
  const machine = chosen.report.find((m) => !m.silent && m.users.length === 1).machine;
  for (const size of [{ width: 1280, height: 800 }, { width: 1280, height: 4000 }]) {
    await withPage(browser, demo.url(machinePath(machine)), { size }, async (page) => {
      await isLive(page);
      const row = page.locator("#history tbody tr").nth(1);
      await row.hover();
      const pointed = () => page.evaluate(() => document.querySelector("#history tbody tr:hover")?.innerText.split("\t").slice(0, 2).join(" "));
      const before = await pointed();
      assert.ok(before);
      const users = [1, 2, 3].map((n) => `under.${size.height}.${n}`);
      for (const user of users) await login(machine, user);
      await eventually("the logins are shown", async () => (await page.locator("#sessions").innerText()).includes(users[2]));
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      assert.equal(await pointed(), before);
      for (const user of users) await logout(machine, user);
      await eventually("the logouts are shown", async () => !(await page.locator("#sessions").innerText()).includes("under."));
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      assert.equal(await pointed(), before);
    });
  }
});

test("the feed holds while it is pointed at, or focused", async () => {
  await withPage(browser, demo.url("/"), {}, async (page) => {
    await isLive(page);
    await login(chosen.free, "feed.first");
    const text = () => page.locator("#feed").innerText();
    await eventually("the feed shows the first", async () => (await text()).includes("feed.first"));
    for (const [hold, release] of [
      [() => page.locator("#feed").hover(), () => page.mouse.move(1, 1)],
      [() => page.locator("#feed").focus(), () => page.locator("#feed").blur()],
    ]) {
      await hold();
      const user = `feed.${Math.random().toString(36).slice(2)}`;
      await login(chosen.free, user);
      const users = page.locator("[data-total=users]");
      await eventually("the page knows", async () => (await demo.ask("where", user).catch(() => null)) !== null && (await users.count()) === 1);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal((await text()).includes(user), false, "the feed moved");
      await release();
      await eventually("then it goes on", async () => (await text()).includes(user));
    }
  });
});

// sameAsFresh waits until an open page shows the rows that a page opened now shows.
async function sameAsFresh(page, path) {
  await eventually(
    "the open page shows what a fresh one does",
    async () => {
      const fresh = await open(browser, demo.url(path), { expected: /./ });
      const want = await rowsOf(fresh);
      await fresh.context().close();
      const got = await rowsOf(page);
      return want.length > 3 && JSON.stringify(want) === JSON.stringify(got.slice(0, want.length));
    },
    60_000,
  );
}

for (const killed of ["service", "page"]) {
  test(`the ${killed} is killed while a page is open`, async () => {
    const path = "/machines?q=ws-0000";
    await withPage(browser, demo.url(path), { expected: cutOff }, async (page) => {
      await isLive(page);
      const machines = (await rowsOf(page)).map((row) => row.split(":")[0]);
      await login(machines[0], `before.${killed}`);
      await demo.command(`kill ${killed}`);
      await eventually("the page says so", async () => (await state(page)) === "Not live", 60_000);
      await login(machines[1], `meanwhile.${killed}`);
      await logout(machines[0], `before.${killed}`);
      await demo.command(`start ${killed}`);
      await isLive(page);
      await eventually("what happened meanwhile is shown", async () => (await chips(page, machines[1])).includes(`meanwhile.${killed}`), 60_000);
      assert.equal((await chips(page, machines[0])).includes(`before.${killed}`), false);
      await sameAsFresh(page, path);
      await login(machines[2], `after.${killed}`);
      await eventually("what happens now is shown", async () => (await chips(page, machines[2])).includes(`after.${killed}`), 30_000);
      for (const [i, when] of ["before", "meanwhile", "after"].entries()) await logout(machines[i], `${when}.${killed}`);
    });
  });
}

test("a line that is cut without a word is noticed", async () => {
  // A browser that reads only never learns that the other end is gone.
  let cut = false;
  const sockets = new Set(), target = new URL(demo.url());
  const line = createServer((near) => {
    const far = connect(target.port, target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (data) => cut || to.write(data));
      from.on("error", () => to.destroy()).on("close", () => to.destroy());
      sockets.add(from);
    }
  });
  await new Promise((resolve) => line.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${line.address().port}${machinePath(chosen.free)}`;
    await withPage(browser, url, { expected: cutOff }, async (page) => {
      await isLive(page);
      cut = true;
      const when = Date.now();
      await eventually("the page says so", async () => (await state(page)) === "Not live", 60_000);
      const [, clock] = (await page.locator("#banner").innerText()).match(/Not live: rollcall's page cannot be reached. What you see is as of (\S+)\./);
      const late = (Date.parse(`1970-01-01T${clock}Z`) - (when % 86400e3)) / 1000;
      assert.ok(Math.abs(late) < 10, `it says ${clock}, ${late} s after the cut`);
      assert.match(await page.locator("#sentence").evaluate((e) => getComputedStyle(e, "::before").content), /As last known/);
      cut = false;
      for (const socket of sockets) socket.destroy();
      await isLive(page);
      await eventually("the banner is as before", async () => !(await page.locator("#banner").innerText()).includes("reached"));
      assert.equal(await page.locator("html.stale").count(), 0);
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    line.close();
  }
});

test("seven tabs are all live", async () => {
  const first = await open(browser, demo.url("/machines"), {});
  const tabs = [first];
  for (let i = 1; i < 7; i++) tabs.push(await open(browser, demo.url(i % 2 ? "/" : "/machines"), { context: first.context() }));
  const machine = (await rowsOf(first))[0].split(":")[0];
  // A page that is opened is not kept waiting by the others.
  const start = performance.now();
  await tabs[6].reload();
  assert.ok(performance.now() - start < 10_000, "the seventh tab hangs");
  for (let round = 0; round < 2; round++) {
    const user = `tabs.${round}`;
    await login(machine, user);
    for (const [i, tab] of tabs.entries()) {
      await tab.bringToFront();
      const shown = tab.url().endsWith("/machines") ? () => chips(tab, machine) : () => tab.locator("#feed").innerText();
      await eventually(`tab ${i} shows it`, async () => (await shown()).includes(user), 20_000);
      assert.equal(await state(tab), "Live", `tab ${i}`);
    }
  }
  const problems = tabs.flatMap((tab) => tab.problems);
  await first.context().close();
  assert.deepEqual(problems, []);
});

test("a tab that is hidden has no stream, and is up to date when it is seen again", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    await isLive(page);
    const machine = (await rowsOf(page))[1].split(":")[0];
    const show = (hidden) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    const closed = page.waitForEvent("requestfailed", { predicate: (r) => r.url().includes("/live?"), timeout: 10_000 });
    await show(true);
    await closed;
    await login(machine, "somebody.unseen");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.ok(!(await chips(page, machine)).includes("somebody.unseen"));
    await show(false);
    await eventually("the login is shown", async () => (await chips(page, machine)).includes("somebody.unseen"));
    await logout(machine, "somebody.unseen");
  });
});

test("a page that comes back from the history is live", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    const machine = (await rowsOf(page))[1].split(":")[0];
    await page.goto(demo.url("/service"));
    await login(machine, "back.again");
    await page.goBack();
    await eventually("what happened meanwhile is shown", async () => (await chips(page, machine)).includes("back.again"));
    await logout(machine, "back.again");
  });
});

test("a stranger's first event wakes the empty fleet", async () => {
  const empty = await startDemo({ machines: 0, hours: 1 });
  try {
    await withPage(browser, empty.url("/"), {}, async (page) => {
      assert.match(await page.locator("main").innerText(), /rollcall publish --login \S+ --machine \S+/);
      assert.match(await page.locator("main").innerText(), /rollcall enroll/);
      const command = (await page.locator("main").innerText()).match(/rollcall (publish --login .*)/)[1];
      await empty.run(...command.trim().split(/\s+/));
      const machine = command.match(/--machine (\S+)/)[1];
      await eventually("the machine is shown", async () => (await page.locator("main").innerText()).includes(machine), 20_000);
    });
  } finally {
    await empty.end();
  }
});
