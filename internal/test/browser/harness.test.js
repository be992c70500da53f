// The harness itself: a page that does what no page may is noticed, and one that does not passes.

import assert from "node:assert/strict";
import { readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { eventually, findings, launch, open, phone, photograph, sideways, withPage } from "./harness/browser.js";
import { startDemo } from "./harness/demo.js";

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";
const page = (body) => `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="/icon.svg"><main><h1>A page</h1>${body}</main>`;

const files = {
  "/": page("<p>Good.</p>"),
  "/script": page('<p id="state"></p><script src="/script.js"></script>'),
  "/console": page('<script src="/console.js"></script>'),
  "/elsewhere": page('<img alt="" src="http://127.0.0.2:9/x.png">'),
  "/missing": page('<img alt="" src="/nothing.png">'),
  "/bad": page('<img src="/icon.svg"><p style="color: red">blocked</p>'),
  "/wide": page('<meta name="viewport" content="width=device-width"><img alt="wide" src="/icon.svg" width="700" height="9">'),
  "/script.js": "document.getElementById('state').textContent = 'ran'",
  "/console.js": "console.log('hello')",
  "/icon.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
};
const types = { js: "text/javascript", svg: "image/svg+xml" };

let browser, server, site;

before(async () => {
  browser = await launch();
  server = createServer((request, response) => {
    const body = files[request.url];
    response.writeHead(body === undefined ? 404 : 200, {
      "Content-Type": types[request.url.split(".")[1]] ?? "text/html; charset=utf-8",
      "Content-Security-Policy": policy,
    });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  site = `http://127.0.0.1:${server.address().port}`;
});

after(async () => {
  await browser?.close();
  server?.close();
});

test("a good page passes", async () => {
  await withPage(browser, site + "/", {}, async (page) => {
    assert.deepEqual(await findings(page), []);
    assert.equal((await sideways(page)).over, 0);
  });
});

for (const [name, want] of [
  ["console", /^console\.log: hello/],
  ["elsewhere", /^request elsewhere: http:\/\/127\.0\.0\.2:9/],
  ["missing", /^404: /],
  ["bad", /^console\.error: .*[Ss]tyle/],
]) {
  test(`${name} is noticed`, async () => {
    const page = await open(browser, `${site}/${name}`);
    await eventually(name, () => page.problems.some((p) => want.test(p)));
    await page.context().close();
    await assert.rejects(withPage(browser, `${site}/${name}`, {}, () => new Promise((r) => setTimeout(r, 100))), /problems of/);
    await withPage(browser, `${site}/${name}`, { expected: /./ }, () => {});
  });
}

test("axe finds a picture without a text, under the page's policy", async () => {
  await withPage(browser, site + "/bad", { expected: /style/i }, async (page) => {
    assert.match((await findings(page)).join("\n"), /image-alt/);
  });
});

test("a page wider than the window is noticed", async () => {
  await withPage(browser, site + "/wide", { size: phone }, async (page) => {
    const { over, out } = await sideways(page);
    assert.ok(over > 0 && out.length > 0, `over by ${over}`);
  });
});

test("without script no script runs", async () => {
  for (const script of [true, false]) {
    await withPage(browser, site + "/script", { script }, async (page) => {
      assert.equal(await page.locator("#state").textContent(), script ? "ran" : "");
    });
  }
});

test("a browser that crashed is started again", async () => {
  const other = await launch();
  const page = await open(other, site + "/");
  await page.context().browser().close();
  await withPage(other, site + "/", {}, async (page) => assert.equal(await page.locator("h1").textContent(), "A page"));
  await other.close();
});

test("a photograph is written", async () => {
  const file = path.join(tmpdir(), `photograph-${process.pid}`, "a.png");
  await withPage(browser, site + "/", { dark: true }, (page) => photograph(page, file));
  assert.ok((await stat(file)).size > 500);
  await rm(path.dirname(file), { recursive: true });
});

test("the demo answers, and is told what to do", async () => {
  const demo = await startDemo({ machines: 20, hours: 2 });
  try {
    const livez = () => fetch(demo.http + "/livez").then((r) => r.status, () => 0);
    assert.equal(await livez(), 200);
    await demo.publish({ type: "login", machine: "ws-test", user: "lane" });
    const who = () => demo.ask("who", "ws-test").catch(() => null);
    assert.equal((await eventually("the login is known", who)).sessions[0].user, "lane");
    await demo.command("kill service");
    assert.equal(await livez(), 0);
    await demo.command("start service");
    assert.equal(await livez(), 200);
    await assert.rejects(demo.command("stop nothing"), /unknown command/);
  } finally {
    await demo.end();
  }
  await assert.rejects(fetch(demo.http + "/livez"));
});

test("packages come from the public registry", async () => {
  const lock = JSON.parse(await readFile(new URL("package-lock.json", import.meta.url)));
  for (const [name, { resolved, integrity }] of Object.entries(lock.packages)) {
    assert.ok(resolved === undefined || resolved.startsWith("https://registry.npmjs.org/"), `${name} comes from ${resolved}`);
    assert.ok(name === "" || integrity, `${name} has no checksum`);
  }
});
