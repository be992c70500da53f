// Every page: for whoever needs a screen reader, a phone, dark, print, no script, no motion.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, findings, launch, open, phone, sideways, withPage } from "./harness/browser.js";
import { ago, choose, machinePath, userPath } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

let browser, demo, pages, chosen;

before(async () => {
  browser = await launch();
  demo = await startDemo({ machines: 300, flags: ["-strange"] });
  chosen = await choose(demo);
  const at = `at=${ago(demo, 4.88)}`;
  pages = {
    fleet: "/",
    "fleet, past": `/?${at}`,
    machines: "/machines",
    "machines, past": `/machines?${at}`,
    "silent machines": "/machines?state=silent",
    "no machine": "/machines?q=there+is+none",
    "a busy machine": machinePath(chosen.busy),
    "a busy machine, past": `${machinePath(chosen.busy)}?${at}`,
    "a free machine": machinePath(chosen.free),
    "a silent machine": machinePath(chosen.silent),
    "a machine with a long name": machinePath("w".repeat(255)),
    "a machine of many": machinePath("many-people.example.com"),
    "a machine over a month": `${machinePath(chosen.busy)}?span=30d`,
    users: "/users",
    "users, past": `/users?${at}`,
    "users on several machines": "/users?state=several",
    "a user": userPath(chosen.several),
    "a user, past": `${userPath(chosen.several)}?${at}`,
    "a service account": userPath("svc-backup"),
    service: "/service",
    search: "/find?q=anna",
  };
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

// each runs a test for every page. Pages that answer 404 or 400 are none of these.
function each(name, options, check) {
  test(name, async (t) => {
    for (const [page, path] of Object.entries(pages)) {
      await t.test(page, () => withPage(browser, demo.url(path), options, (p) => check(p, page, path)));
    }
  });
}

for (const dark of [false, true]) {
  each(`axe finds nothing, ${dark ? "dark" : "light"}`, { dark }, async (page) => {
    assert.deepEqual(await findings(page), []);
  });
}

each("each page names its command, its zone and its state", { zone: "Asia/Kolkata" }, async (page, name) => {
  assert.match(await page.locator("#command").textContent(), /^rollcall \S/);
  assert.match(await page.locator("#strip").textContent(), /UTC\+05:30/);
  assert.equal((await page.locator("#state").textContent()).trim(), name.endsWith("past") ? "Past" : "Live");
  assert.equal(await page.locator("h1").count(), 1);
  const texts = await page.evaluate(() => [...document.querySelectorAll("main svg title, main time.when")].map((one) => one.textContent));
  assert.deepEqual(texts.filter((text) => text.includes("UTC")), []);
});

test("the command of a page answers the same", async () => {
  for (const [path, column] of [
    [machinePath(chosen.busy), "user"],
    [userPath(chosen.several), "machine"],
  ]) {
    await withPage(browser, demo.url(path), {}, async (page) => {
      const command = (await page.locator("#command").textContent()).split(" ").slice(1);
      const answer = await demo.ask(...command);
      const want = answer.sessions.map((s) => s[column]).sort();
      assert.deepEqual((await keys(page, "#sessions")).sort(), want);
      assert.ok(want.length > 1, "several sessions");
    });
  }
});

const keys = (page, table) => page.locator(`${table} tr[data-key]`).evaluateAll((rows) => rows.map((row) => row.dataset.key));

each("on a phone nothing is wider than the window", { size: phone }, async (page) => {
  const { over, out } = await sideways(page);
  assert.equal(over, 0, `${over} pixels too wide: ${out.join("\n")}`);
  assert.deepEqual(out, []);
});

test("on a phone in the dark, too, axe finds nothing", async (t) => {
  for (const page of ["fleet", "machines", "a busy machine", "users", "a user", "service"]) {
    await t.test(page, () => withPage(browser, demo.url(pages[page]), { size: phone, dark: true }, async (p) => assert.deepEqual(await findings(p), [])));
  }
});

each("without script all is there, and nothing that needs it", { script: false }, async (page, name) => {
  assert.ok((await page.locator("main").innerText()).trim().length > 20);
  assert.equal(await page.locator("#when").isVisible(), false, "the range needs script");
  assert.equal(await page.locator("#strip").getByText("UTC").count() > 0, true);
  // Whatever a page has rows of, it has without script.
  if (["machines", "users", "a busy machine"].includes(name)) {
    assert.ok((await page.locator("tr[data-key]").count()) > 5);
  }
});

test("without script the forms work", async () => {
  await withPage(browser, demo.url("/machines"), { script: false }, async (page) => {
    await page.fill("form#find input[name=q]", chosen.busy.slice(0, 10));
    await page.press("form#find input[name=q]", "Enter");
    await page.getByRole("link", { name: chosen.busy }).first().click();
    assert.equal(await page.locator("h1").textContent(), chosen.busy);
    const at = new Date(Date.parse(demo.now) - 5 * 3600e3).toISOString();
    await page.fill("form#moment input[name=at]", at.slice(0, 16).replace("T", " "));
    await page.press("form#moment input[name=at]", "Enter");
    assert.equal(new URL(page.url()).searchParams.get("at"), at.slice(0, 17) + "59Z");
    assert.equal((await page.locator("#state").textContent()).trim(), "Past");
  });
});

each("printed, there is only what is on paper", { print: true }, async (page) => {
  for (const gone of ["#find", "nav", "form#moment"]) {
    assert.equal(await page.locator(gone).first().isVisible(), false, `${gone} is printed`);
  }
  assert.equal(await page.locator("h1").count(), 1);
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.match(background, /^rgba?\(255, 255, 255|^rgba\(0, 0, 0, 0\)/, "ink on paper");
});

test("a page is painted before its script has come, and keeps its times hidden until they are the viewer's", async () => {
  await withPage(browser, demo.url("/about"), { expected: /404/, zone: "Asia/Kolkata" }, async (page) => {
    let answer;
    const held = new Promise((resolve) => (answer = resolve));
    await page.route(/\/static\/page\..*js/, async (route) => {
      await held;
      await route.continue();
    });
    await page.goto(demo.url("/machines"), { waitUntil: "commit" });
    const painted = () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint").length);
    await eventually("the page is painted", painted);
    const time = page.locator("#clock"), rows = page.locator("#rows");
    assert.equal(await time.isVisible(), false);
    const height = (await rows.boundingBox()).height;
    answer();
    await eventually("the times are shown", () => time.isVisible());
    assert.match(await page.locator(".zone").innerText(), /UTC\+05:30/);
    assert.equal((await rows.boundingBox()).height, height, "the list moves");
  });
});

test("a page whose script does not come is as without script", async () => {
  await withPage(browser, demo.url("/about"), { expected: /404|ERR_FAILED|Failed to (load|fetch)/ }, async (page) => {
    await page.route(/\/static\/page\..*js/, (route) => route.abort());
    await page.goto(demo.url("/machines"));
    await eventually("the times are shown", () => page.locator("#clock").isVisible());
    assert.equal(await page.locator("#pager a").first().isVisible(), true);
    assert.equal(await page.locator("#state .live").isVisible(), false);
  });
});

test("printed, a long list is what is in view, also on wide paper", async () => {
  const long = await startDemo({ machines: 2000, hours: 1 });
  try {
    await withPage(browser, long.url("/machines?from=900"), {}, async (page) => {
      await eventually("there is room for all rows", () => page.evaluate(() => document.querySelector("tr.space td")?.offsetHeight > 10_000));
      for (const landscape of [false, true]) {
        const pdf = await page.pdf({ landscape, format: "A3" });
        const pages = pdf.toString("latin1").match(/\/Type\s*\/Page\b/g).length;
        assert.ok(pages < 8, `${pages} pages of paper, landscape: ${landscape}`);
      }
    });
  } finally {
    await long.end();
  }
});

test("in the dark, printing is still light", async () => {
  await withPage(browser, demo.url("/"), { dark: true }, async (page) => {
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number));
    const map = () => page.locator("canvas[data-group]").first().evaluate((canvas) => canvas.toDataURL());
    assert.ok((await background())[0] < 60, "a dark screen");
    const before = await map();
    await page.emulateMedia({ media: "print" });
    const ink = await page.evaluate(() => getComputedStyle(document.body).color.match(/\d+/g).map(Number));
    assert.ok(ink[0] < 100, `ink ${ink}`);
    assert.ok((await background())[0] > 240, "paper");
    await eventually("the map is drawn for paper", async () => (await map()) !== before);
  });
});

each("with reduced motion nothing moves", { reduced: true }, async (page) => {
  const moving = await page.evaluate(() =>
    document.getAnimations().filter((a) => (a.effect?.getTiming().duration ?? 0) > 10).map((a) => a.effect.target?.outerHTML.slice(0, 100)),
  );
  assert.deepEqual(moving, []);
  const rows = await page.evaluate(() => {
    const row = document.querySelector("tr[data-key]");
    row?.classList.add("changed");
    return document.getAnimations().filter((a) => Number(a.effect?.getTiming().duration) > 10).length;
  });
  assert.equal(rows, 0, "a changed row does not fade");
});

test("at most 2,000 elements, and 60 KiB cold", async (t) => {
  for (const [name, path] of Object.entries(pages)) {
    await t.test(name, async () => {
      const page = await open(browser, "about:blank".replace("about:blank", demo.url("/livez")));
      const session = await page.context().newCDPSession(page);
      await session.send("Network.enable");
      let bytes = 0;
      session.on("Network.loadingFinished", (e) => (bytes += e.encodedDataLength));
      page.removeAllListeners("response");
      await page.goto(demo.url(path), { waitUntil: "load" });
      assert.ok(bytes > 1000 && bytes <= 60 * 1024, `${bytes} bytes`);
      const elements = await page.evaluate(() => document.querySelectorAll("*").length);
      assert.ok(elements <= 2000, `${elements} elements`);
      await page.context().close();
    });
  }
});

test("keys lead everywhere", async () => {
  await withPage(browser, demo.url("/"), {}, async (page) => {
    for (const [key, path] of [["m", "/machines"], ["u", "/users"], ["s", "/service"], ["f", "/"]]) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.waitForURL(demo.url(path));
    }
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.closest("form")?.id), "find");
    await page.keyboard.press("Escape");
    assert.notEqual(await page.evaluate(() => document.activeElement.closest("form")?.id), "find");
    await page.goto(demo.url(pages["fleet, past"]));
    await page.keyboard.press("n");
    await page.waitForURL(demo.url("/"));
  });
});

test("keys mean nothing while something is written", async () => {
  await withPage(browser, demo.url("/machines"), {}, async (page) => {
    await page.fill("form#moment input[name=at]", "");
    await page.locator("form#moment input[name=at]").pressSequentially("g n f/");
    assert.equal(await page.inputValue("form#moment input[name=at]"), "g n f/");
    assert.equal(page.url(), demo.url("/machines"));
  });
});

test("the map: arrows walk, Enter opens, a live region speaks", async () => {
  await withPage(browser, demo.url("/"), {}, async (page) => {
    const map = page.locator("canvas[data-group]").first();
    await map.focus();
    const spoken = () => page.evaluate(() => [...document.querySelectorAll("[aria-live]")].map((e) => e.textContent).join(" "));
    const first = await eventually("the first machine is spoken of", spoken);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    const third = await eventually("another machine is spoken of", async () => (await spoken()) !== first && (await spoken()));
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/machines\/./);
    assert.ok(third.includes(await page.locator("h1").textContent()), `spoken: ${third}`);
  });
});

test("numbers lead to what they count", async () => {
  await withPage(browser, demo.url("/"), {}, async (page) => {
    const number = async (name) => Number((await page.locator(`[data-total=${name}]`).textContent()).replace(/\D/g, ""));
    const report = await demo.ask("status");
    assert.equal(await number("users"), report.users);
    assert.equal(await number("sessions"), report.sessions);
    assert.equal(await number("silent"), report.silent);
    for (const name of ["users", "machines", "sessions", "several", "silent"]) {
      const want = await number(name === "sessions" ? "machines" : name); // the list has no row for each session
      await page.locator(`[data-total=${name}]`).click();
      await page.waitForURL(/\/(users|machines)/);
      assert.equal(Number(await page.locator("#rows").getAttribute("data-total")), want, name);
      await page.goBack();
    }
  });
});
