// Names are hostile text: whatever they are, a page shows them as they are, links lead to them, and
// nothing of them runs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, launch, phone, withPage } from "./harness/browser.js";
import { choose, machinePath, userPath } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

let browser, demo, strange;

before(async () => {
  browser = await launch();
  demo = await startDemo({ machines: 80, flags: ["-strange"] });
  const { report } = await choose(demo);
  strange = report.filter((m) => !/^\w+-\d{5}\./.test(m.machine) && m.machine !== "many-people.example.com");
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

// decoded is the path of a URL, whichever characters are escaped.
const decoded = (url) => new URL(url).pathname.split("/").map(decodeURIComponent).join(" / ");

test("links of the list lead to each machine, and from there to each user", async (t) => {
  assert.ok(strange.length > 30);
  const links = new Map();
  for (let from = 0; from < demo.machines; from += 40) {
    await withPage(browser, demo.url(`/machines?from=${from}`), { script: false }, async (page) => {
      const rows = await page.locator("#list tr[data-key]").evaluateAll((rows) => rows.map((row) => [row.dataset.key, row.querySelector("a")?.href]));
      for (const [name, href] of rows) links.set(name, href);
    });
  }
  for (const { machine, users } of strange) {
    await t.test(JSON.stringify(machine.slice(0, 40)), async () => {
      assert.equal(decoded(links.get(machine)), decoded(demo.url(machinePath(machine))));
      await withPage(browser, links.get(machine), {}, async (page) => {
        assert.equal(await page.locator("h1").textContent(), machine);
        const shown = await page.locator("#sessions tr[data-key] th a").evaluateAll((links) => links.map((a) => [a.textContent, a.href]));
        assert.deepEqual(shown.map(([name]) => name).sort(), [...users].sort());
        for (const [name, href] of shown) assert.equal(decoded(href), decoded(demo.url(userPath(name))));
        if (users.length > 0) {
          await page.locator("#sessions tr[data-key] th a").first().click();
          await page.waitForURL(/\/users\/./);
          assert.equal(await page.locator("h1").textContent(), shown[0][0]);
          assert.ok((await page.locator("#sessions tr[data-key]").evaluateAll((rows) => rows.map((r) => r.dataset.key))).includes(machine));
        }
      });
    });
  }
});

test("the map and the lists show them, on a phone too", async () => {
  for (const path of ["/", "/machines", "/users", "/service"]) {
    for (const size of [undefined, phone]) {
      await withPage(browser, demo.url(path), size ? { size } : {}, async (page) => {
        assert.equal(await page.evaluate(() => document.querySelectorAll("img[src=x], b > b, script:not([src]), svg[onload]").length), 0);
      });
    }
  }
});

test("a row that has not come is loaded, also of a name that all objects have", async () => {
  const name = "__proto__", before = strange.length + 80;
  const { report } = await choose(demo);
  const i = report.findIndex((m) => m.machine === name), from = i < before / 2 ? before - 50 : 0;
  await withPage(browser, demo.url(`/machines?from=${from}`), {}, async (page) => {
    const row = page.locator("#list tr[data-key]").filter({ has: page.locator(`a[href="${machinePath(name)}"]`) });
    assert.equal(await row.count(), 0);
    let dropped = 0;
    await page.route(/\/live\?.*once/, async (route) => {
      const answer = await route.fetch(), patch = await answer.json();
      if (dropped < 1 && Object.hasOwn(patch.rows?.html ?? {}, name)) {
        delete patch.rows.html[name];
        dropped++;
      }
      await route.fulfill({ response: answer, json: patch });
    });
    await page.locator("#rows").press(from ? "Home" : "End");
    await eventually("the row is there", async () => (await row.count()) === 1);
    assert.equal(dropped, 1);
  });
});

test("the search finds them, while they are written and when asked", async (t) => {
  for (const text of ["<script>", "москва", "東京", "=HYPER", "__proto__", "%2E", "back room", "..", "'\"><svg"]) {
    await t.test(text, () =>
      withPage(browser, demo.url("/"), {}, async (page) => {
        await page.keyboard.press("/");
        await page.keyboard.type(text);
        await page.locator("#found a").first().waitFor();
        await page.keyboard.press("Enter");
        await page.waitForURL(/\/(machines|users)\/./);
        assert.ok((await page.locator("h1").textContent()).toLowerCase().includes(text.toLowerCase()));
      }),
    );
  }
});

test("spreadsheets run nothing of the CSV", async () => {
  for (const path of ["/machines.csv", "/users.csv"]) {
    const text = await (await fetch(demo.url(path))).text();
    const cells = text.split(/\r?\n/).flatMap((line) => line.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/));
    assert.deepEqual(cells.filter((cell) => /^"?[=+\-@]/.test(cell)), []);
    assert.ok(cells.some((cell) => /^"?'=/.test(cell)), "the name that begins with = is there");
  }
});
