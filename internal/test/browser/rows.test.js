// A list of 100,000 machines: read to its end, by keys and by mouse.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, launch, withPage } from "./harness/browser.js";
import { roster } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

const machines = Number(process.env.ROWS ?? 100_000);
let browser, demo, names;

before(async () => {
  browser = await launch();
  demo = await startDemo({ machines, hours: 1 });
  names = (await roster(demo)).map((m) => m.machine);
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

// inView are the names of the rows that can be seen.
const inView = (page) =>
  page.locator("#rows").evaluate((rows) => {
    const frame = rows.getBoundingClientRect(), head = rows.querySelector("thead th")?.getBoundingClientRect().bottom ?? frame.top;
    return [...rows.querySelectorAll("tr[data-key]")].filter((row) => {
      const box = row.getBoundingClientRect();
      return box.top >= head - 2 && box.bottom <= frame.bottom + 2;
    }).map((row) => row.dataset.key);
  });

// follows checks that the rows are some of the machines, one after the other, and returns the first's number.
function follows(rows) {
  assert.ok(rows.length > 5, `${rows.length} rows in view`);
  const first = names.indexOf(rows[0]);
  assert.deepEqual(rows, names.slice(first, first + rows.length));
  return first;
}

// at reports whether rows are where this share of the list has been scrolled by.
const at = (rows, share) => Math.abs(names.indexOf(rows[0]) - share * names.length) < Math.max(20, names.length / 1000);

// settled waits until the rows in view are those that are wanted, and rest: keys scroll smoothly.
const settled = (page, what, check) => {
  let before;
  return eventually(what, async () => {
    const rows = await inView(page);
    const rests = before === JSON.stringify(rows);
    before = JSON.stringify(rows);
    await page.waitForTimeout(80);
    return rests && rows.length > 5 && check(rows) && rows;
  });
};

test(`${machines} rows, end to end by keys`, async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    assert.equal(Number(await page.locator("#rows").getAttribute("data-total")), machines);
    await page.locator("#rows").focus();
    follows(await settled(page, "the first rows", (rows) => rows[0] === names[0]));
    await page.keyboard.press("End");
    follows(await settled(page, "the last rows", (rows) => rows.at(-1) === names.at(-1)));
    await page.keyboard.press("PageUp");
    const before = follows(await settled(page, "a page up", (rows) => rows.at(-1) !== names.at(-1)));
    assert.ok(names.length - before > 10 && names.length - before < 100, `${names.length - before} rows from the end`);
    await page.keyboard.press("Home");
    follows(await settled(page, "the first rows again", (rows) => rows[0] === names[0]));
    // Page by page, no row is left out.
    let seen = new Set(await inView(page)), last = 0;
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press("PageDown");
      const rows = await settled(page, `page ${i + 2}`, (rows) => names.indexOf(rows[0]) > last);
      last = follows(rows);
      for (const row of rows) seen.add(row);
    }
    assert.deepEqual([...seen].sort(), names.slice(0, seen.size).sort(), "rows were skipped");
  });
});

test("a jump anywhere", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    for (const share of [0.5, 0.123, 0.9999, 0.77, 0.0001]) {
      await page.locator("#rows").evaluate((rows, share) => (rows.scrollTop = (rows.scrollHeight - rows.clientHeight) * share), share);
      const rows = await settled(page, `at ${share}`, (rows) => at(rows, share));
      follows(rows);
    }
    assert.match(await page.locator("#count").innerText(), /of 100.000|of [\d\s]+/);
    // The place is in the URL, so a reload, and a link, lead back.
    await page.locator("#rows").evaluate((rows) => (rows.scrollTop = rows.scrollHeight / 3));
    const there = await settled(page, "a third", (rows) => at(rows, 1 / 3));
    await eventually("the URL says where", async () => new URL(page.url()).searchParams.has("from"));
    await page.reload();
    await settled(page, "the same rows after a reload", (rows) => Math.abs(names.indexOf(rows[0]) - names.indexOf(there[0])) < 3);
  });
});

test("the head of the list stays in view, far down", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    await page.locator("#rows").focus();
    await page.keyboard.press("End");
    await settled(page, "the last rows", (rows) => rows.at(-1) === names.at(-1));
    const place = await page.evaluate(() => {
      const box = document.querySelector("#list thead th").getBoundingClientRect();
      return { head: document.elementFromPoint(box.x + 5, box.y + box.height / 2)?.closest("th") !== null, top: box.top };
    });
    assert.ok(place.head && place.top >= 0, JSON.stringify(place));
  });
});

test("each row in view is live, also far down", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    await page.locator("#rows").evaluate((rows) => (rows.scrollTop = rows.scrollHeight * 0.6));
    const rows = await settled(page, "far down", (rows) => names.indexOf(rows[0]) > names.length / 2);
    await demo.publish({ type: "login", machine: rows[3], user: "far.down", session: "far" });
    await eventually("the login is shown", async () => (await page.locator(`tr[data-key="${rows[3]}"]`).innerText()).includes("far.down"), 20_000);
  });
});

test("a filter finds one of them, as it is typed or by Enter", async () => {
  const wanted = names[Math.floor(names.length * 0.7)];
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    await page.fill("form#filter input[name=q]", wanted);
    await page.press("form#filter input[name=q]", "Enter");
    await page.waitForURL(/q=/);
    assert.deepEqual(await page.locator("#list tr[data-key]").evaluateAll((rows) => rows.map((r) => r.dataset.key)), [wanted]);
  });
});

test("no more than 2,000 elements, wherever one is", async () => {
  for (const path of ["/", "/machines", `/machines?from=${machines / 2}`, "/users"]) {
    await withPage(browser, demo.url(path), {}, async (page) => {
      const elements = await page.evaluate(() => document.querySelectorAll("*").length);
      assert.ok(elements <= 2000, `${path}: ${elements} elements`);
    });
  }
});

test("news of the rows where one was do not come where one is", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    let user = 0;
    for (let i = 0; i < 12; i++) {
      const before = await inView(page);
      const share = ((i * 0.37) % 1) * 0.98;
      await Promise.all(before.slice(0, 5).map((machine) => demo.publish({ type: "login", machine, user: `news.${user}`, session: `n${user++}` })));
      await page.waitForTimeout((i * 173) % 1000);
      await page.locator("#rows").evaluate((rows, share) => (rows.scrollTop = (rows.scrollHeight - rows.clientHeight) * share), share);
      const rows = await settled(page, `jump ${i} to ${share}`, (rows) => at(rows, share));
      follows(rows);
    }
  });
});

test("rows that were held back are not shown elsewhere", async () => {
  await withPage(browser, demo.url("/machines?sort=users"), {}, async (page) => {
    const last = await page.locator("#list tr[data-key]").nth(40).getAttribute("data-key");
    await page.locator("#list tr[data-key]").nth(3).hover();
    for (let i = 0; i < 60; i++) await demo.publish({ type: "login", machine: last, user: `held.${i}`, session: `h${i}` });
    await page.waitForTimeout(2500);
    for (let i = 0; i < 10; i++) await page.mouse.wheel(0, 1000);
    const rows = await settled(page, "further down", (rows) => rows.length > 5);
    await page.waitForTimeout(1000);
    await page.mouse.move(5, 5);
    await page.waitForTimeout(1000);
    assert.deepEqual(await settled(page, "at rest", () => true), rows);
    for (let i = 0; i < 60; i++) await demo.publish({ type: "logout", machine: last, user: `held.${i}`, session: `h${i}` });
  });
});
