// The past: by the field, by the curve, by a link.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, launch, withPage } from "./harness/browser.js";
import { ago, choose, isAccount, machinePath, roster, userPath } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

let browser, demo, chosen;

before(async () => {
  browser = await launch();
  demo = await startDemo({ machines: 300, hours: 34 });
  chosen = await choose(demo);
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

const keys = (page, table) => page.locator(`${table} tr[data-key]`).evaluateAll((rows) => rows.map((row) => row.dataset.key));
const momentOf = (page) => new URL(page.url()).searchParams.get("at");

test("a machine in the past is what the command says", async () => {
  for (const hours of [1.5, 4.9, 7, 20, 29]) {
    const at = ago(demo, hours);
    const answer = await demo.ask("who", chosen.busy, "--at", at);
    await withPage(browser, demo.url(`${machinePath(chosen.busy)}?at=${at}`), {}, async (page) => {
      assert.deepEqual((await keys(page, "#sessions")).sort(), answer.sessions.map((s) => s.user).sort(), `${hours} hours ago`);
      const users = new Set(answer.sessions.map((s) => s.user)).size;
      assert.match(await page.locator("#sentence").innerText(), users === 0 ? /free|nobody/i : new RegExp(`\\b${users}\\b|${answer.sessions[0].user}`));
    });
  }
});

test("a user in the past is what the command says", async () => {
  for (const hours of [1.5, 4.9, 29]) {
    const at = ago(demo, hours);
    const answer = await demo.ask("where", chosen.several, "--at", at);
    await withPage(browser, demo.url(`${userPath(chosen.several)}?at=${at}`), {}, async (page) => {
      assert.deepEqual((await keys(page, "#sessions")).sort(), answer.sessions.map((s) => s.machine).sort(), `${hours} hours ago`);
    });
  }
});

test("the numbers of the fleet in the past are what the command says", async () => {
  const at = ago(demo, 6);
  const machines = await roster(demo, "--at", at);
  await withPage(browser, demo.url(`/?at=${at}`), {}, async (page) => {
    const number = async (name) => Number((await page.locator(`[data-total=${name}]`).textContent()).replace(/\D/g, ""));
    const where = new Map();
    for (const m of machines) for (const u of m.users) where.set(u, (where.get(u) ?? 0) + 1);
    assert.equal(await number("users"), where.size);
    assert.equal(await number("machines"), machines.filter((m) => m.users.length > 0).length);
    // Service accounts are expected on several.
    const people = [...where].filter(([user, n]) => n > 1 && !isAccount(user)).length;
    const all = [...where].filter(([, n]) => n > 1).length;
    assert.ok([people, all].includes(await number("several")), `${await number("several")}: ${people} people`);
    assert.equal((await page.locator("[data-total=silent]").textContent()).trim(), "–", "silence is not known of the past");
  });
});

test("the field reads what the command line reads, and the URL says the moment in full", async () => {
  const zone = "Asia/Kolkata";
  for (const [text, want] of [
    ["-2h", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/],
    [ago(demo, 3), new RegExp(`^${ago(demo, 3)}$`)],
    ["yesterday", /T18:29:59Z$/],
  ]) {
    await withPage(browser, demo.url("/machines?q=ws"), { zone }, async (page) => {
      await page.fill("form#moment input[name=at]", text);
      await page.press("form#moment input[name=at]", "Enter");
      await page.waitForURL(/at=/);
      assert.match(momentOf(page), want, text);
      assert.equal(new URL(page.url()).searchParams.get("q"), "ws", "the filter is kept");
      assert.equal((await page.locator("#state").textContent()).trim(), "Past");
    });
  }
});

test("a moment that is none says what is wrong, and keeps the text", async () => {
  await withPage(browser, demo.url("/"), { expected: /400/ }, async (page) => {
    await page.fill("form#moment input[name=at]", "teatime");
    await page.press("form#moment input[name=at]", "Enter");
    await page.getByRole("alert").waitFor();
    assert.match(await page.getByRole("alert").innerText(), /teatime/);
    assert.equal(await page.inputValue("form#moment input[name=at]"), "teatime");
    assert.equal(await page.locator("form#moment input[name=at]").getAttribute("aria-invalid"), "true");
  });
});

test("the zone beside a moment is that of the moment, in the other half of the year, too", async () => {
  const zone = "Europe/Berlin";
  const offset = (time) => new Date(time).toLocaleString("en", { timeZone: zone, timeZoneName: "longOffset" }).match(/GMT(\S+)$/)[1];
  const moments = Array.from({ length: 12 }, (_, month) => new Date(Date.parse(demo.now) - month * 30 * 86400e3).toISOString().replace(/\.\d+Z$/, "Z"));
  const other = moments.find((at) => offset(at) !== offset(demo.now));
  for (const [at, path] of [[demo.now, "/"], [other, `/?at=${other}`]]) {
    await withPage(browser, demo.url(path), { zone }, async (page) => {
      assert.equal(await page.locator(".zone").innerText(), `UTC${offset(at)}`, at);
    });
  }
});

test("the curve leads to the past by keys, and back", async () => {
  await withPage(browser, demo.url("/machines"), { zone: demo.zone }, async (page) => {
    await page.locator("#when").focus();
    for (let i = 0; i < 3; i++) await page.keyboard.press("PageDown");
    const said = await page.locator("#when").getAttribute("aria-valuetext");
    await page.waitForURL(/at=/);
    const minutes = (Date.now() - Date.parse(momentOf(page))) / 60e3;
    assert.ok(minutes > 30 && minutes < 24 * 60, `${minutes} minutes ago`);
    assert.ok(said && /\d\d:\d\d/.test(said), `said: ${said}`);
    assert.equal(await page.evaluate(() => document.activeElement.id), "when", "the focus stays");
    await page.keyboard.press("End");
    await page.waitForURL((url) => !url.searchParams.has("at"));
    assert.equal((await page.locator("#state").textContent()).trim(), "Live");
  });
});

test("the curve leads to the past by mouse", async () => {
  await withPage(browser, demo.url("/"), {}, async (page) => {
    const box = await page.locator("#when").boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForURL(/at=/);
    const hours = (Date.parse(demo.now) - Date.parse(momentOf(page))) / 3600e3;
    assert.ok(Math.abs(hours - 12) < 0.7, `${hours} hours ago`);
    await page.getByRole("link", { name: "Back to now" }).click();
    await page.waitForURL((url) => !url.searchParams.has("at"));
  });
});

test("in the past nothing moves", async () => {
  const at = ago(demo, 2);
  await withPage(browser, demo.url(`/machines?at=${at}`), {}, async (page) => {
    const before = await page.locator("main").innerText();
    const [machine] = await keys(page, "#list");
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    await demo.publish({ type: "login", machine, user: "not.yet", session: "n" });
    await eventually("the service knows", async () => (await demo.ask("who", machine)).sessions.some((s) => s.user === "not.yet"));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assert.equal(await page.locator("main").innerText(), before);
    assert.deepEqual(requests, []);
  });
});

test("a link keeps its moment: every page of the past links to that moment", async () => {
  const at = ago(demo, 5);
  for (const path of ["/", "/machines", machinePath(chosen.busy), userPath(chosen.several), "/users"]) {
    await withPage(browser, demo.url(`${path}?at=${at}`), {}, async (page) => {
      const links = await page.locator('main a[href^="/machines"], main a[href^="/users"], nav a').evaluateAll((all) => all.map((a) => a.href));
      const lost = links.filter((href) => !new URL(href).searchParams.has("at") && new URL(href).pathname !== "/service");
      assert.deepEqual(lost.slice(0, 5), []);
      assert.ok(links.length > 4);
    });
  }
});

test("the order of the past is that of then", async () => {
  const at = ago(demo, 5);
  const answer = await demo.ask("who", chosen.busy, "--at", at);
  await withPage(browser, demo.url(`${machinePath(chosen.busy)}?at=${at}`), {}, async (page) => {
    const lanes = await page.locator(".timeline .lane > a").evaluateAll((all) => all.map((a) => a.textContent));
    const then = new Set(answer.sessions.map((s) => s.user));
    assert.deepEqual(new Set(lanes.slice(0, then.size)), then, "who was on then stands on top");
  });
});

test("what is silent is not nobody: the day of a silent machine ends in what is not known", async () => {
  await withPage(browser, demo.url(machinePath(chosen.silent)), {}, async (page) => {
    assert.match(await page.locator("#sentence").innerText(), /^Not known: silent for \d+ (min|h)/);
    assert.ok((await page.locator(".timeline .unheard").count()) > 0);
  });
  await withPage(browser, demo.url(`/machines?state=silent`), {}, async (page) => {
    const cells = await page.locator("#list tr[data-key] td.n").allInnerTexts();
    assert.ok(cells.length > 3 && cells.every((text) => text.trim() === "–"), cells.join(" "));
  });
});
