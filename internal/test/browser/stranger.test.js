// A stranger, who has read nothing, in a fleet of 10,000 machines: who was on a given machine yesterday
// at 10:17, and where is that person now? In under half a minute, by mouse and by keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, withPage } from "./harness/browser.js";
import { choose, isAccount } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

let browser, demo, machine, person, where, moment;

// How long a person needs to find the next thing on the page, and to type a character.
const look = 1500;
const typing = 120;

before(async () => {
  browser = await launch();
  demo = await startDemo({ machines: 10_000, hours: 34 });
  // Yesterday at 10:17, in the zone of the browser.
  const zone = Number(demo.zone.match(/GMT([+-]\d+)/)[1]);
  const today = new Date(Date.parse(demo.now) - zone * 3600e3);
  const yesterday = Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate() - 1, 10, 17, 59) + zone * 3600e3;
  moment = new Date(yesterday).toISOString().replace(/\.\d+Z$/, "Z");
  // A terminal server on which somebody was first that morning, who is on elsewhere now.
  const now = await choose(demo);
  for (const m of now.report.filter((m) => m.machine.startsWith("term-"))) {
    const then = await demo.ask("who", m.machine, "--at", moment);
    const people = then.sessions.map((s) => s.user).filter((u) => !isAccount(u));
    person = people.find((u) => (now.where.get(u) ?? []).some((w) => w !== m.machine));
    if (person) {
      machine = m.machine;
      where = now.where.get(person);
      break;
    }
  }
  assert.ok(machine, "somebody was on a terminal server yesterday, and is on elsewhere now");
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

// Both begin on the first page, with no idea.
async function task(name, find) {
  test(name, async (t) => {
    const start = performance.now();
    let thought = 0;
    await withPage(browser, demo.url("/"), { zone: demo.zone }, async (page) => {
      const think = async () => {
        thought++;
        await page.waitForTimeout(look);
      };
      await find(page, think);
      const seconds = (performance.now() - start) / 1000;
      t.diagnostic(`${seconds.toFixed(1)} s, ${thought} of them looks of ${look} ms`);
      assert.equal(await page.locator("h1").textContent(), person);
      assert.equal((await page.locator("#state").textContent()).trim(), "Live");
      const shown = await page.locator("#sessions tr[data-key]").evaluateAll((rows) => [...new Set(rows.map((r) => r.dataset.key))]);
      assert.deepEqual(shown.sort(), [...where].sort());
      assert.ok(seconds < 30, `took ${seconds} s`);
    });
  });
}

task("by mouse", async (page, think) => {
  await page.locator("form#find input[name=q]").click();
  await page.keyboard.type(machine.split(".")[0], { delay: typing });
  await page.locator("#found").getByText(machine, { exact: false }).first().waitFor();
  await think();
  await page.locator("#found a").filter({ hasText: machine }).first().click();
  await page.waitForURL(/\/machines\/./);
  await think();
  await page.locator("form#moment input[name=at]").click();
  await page.keyboard.type("yesterday 10:17", { delay: typing });
  await page.locator("form#moment button").click();
  await page.waitForURL(/at=/);
  assert.equal(new URL(page.url()).searchParams.get("at"), moment);
  await think();
  await page.locator("#sessions").getByRole("link", { name: person, exact: true }).first().click();
  await page.waitForURL(/\/users\/./);
  await think();
  await page.getByRole("link", { name: "Back to now" }).click();
  await page.waitForURL((url) => !url.searchParams.has("at"));
});

task("by keyboard", async (page, think) => {
  await page.keyboard.press("/");
  await page.keyboard.type(machine.split(".")[0], { delay: typing });
  await page.locator("#found").getByText(machine, { exact: false }).first().waitFor();
  await think();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/machines\/./);
  await think();
  await tabTo(page, () => document.activeElement.matches("form#moment input[name=at]"));
  await page.keyboard.type("yesterday 10:17", { delay: typing });
  await page.keyboard.press("Enter");
  await page.waitForURL(/at=/);
  assert.equal(new URL(page.url()).searchParams.get("at"), moment);
  await think();
  // The stranger reads the name, and searches for it: the table may be long.
  assert.ok((await page.locator("#sessions").innerText()).includes(person));
  await page.keyboard.press("/");
  await page.keyboard.type(person, { delay: typing });
  await page.locator("#found a").filter({ hasText: person }).first().waitFor();
  for (let i = 0; !(await chosenIs(page, person)); i++) {
    assert.ok(i < 10, "the arrow keys reach the name");
    await page.keyboard.press("ArrowDown");
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/users\/./);
  await think();
  await page.keyboard.press("n");
  await page.waitForURL((url) => !url.searchParams.has("at"));
});

// chosenIs reports whether the name that Enter opens is this one.
const chosenIs = (page, name) =>
  page.evaluate((name) => {
    const id = document.querySelector("form#find input[name=q]").getAttribute("aria-activedescendant");
    const text = document.getElementById(id)?.textContent ?? "";
    return text.replace(/user$/, "").trim() === name;
  }, name);

// tabTo presses Tab until the focus is where it should be.
async function tabTo(page, there) {
  for (let i = 0; i < 30; i++) {
    if (await page.evaluate(there)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail("Tab does not lead there");
}
