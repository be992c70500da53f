// A browser: Debian's Chromium, headless.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { executable } from "./chromium.js";

// launch starts a browser. If it crashes, the test that used it fails, and the next one gets another.
export async function launch() {
  const start = () =>
    chromium.launch({
      executablePath: executable(),
      chromiumSandbox: process.getuid?.() !== 0,
      args: ["--disable-gpu", "--disable-lcd-text", "--font-render-hinting=none"],
    });
  let browser = await start();
  return {
    async newContext(options) {
      if (!browser.isConnected()) browser = await start();
      return browser.newContext(options);
    },
    close: () => browser.close(),
  };
}

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

// open opens a page of a site in a context of its own and watches it. Options are: size, dark, reduced
// (motion), script (false: none), zone, print; expected, a RegExp of messages that are no failure. With
// context, the page is another tab of that of an earlier page.
export async function open(browser, url, { size = desktop, dark = false, reduced = false, script = true, zone = "UTC", print = false, expected, context } = {}) {
  context ??= await browser.newContext({
    viewport: size,
    isMobile: size.width < 500,
    hasTouch: size.width < 500,
    colorScheme: dark ? "dark" : "light",
    reducedMotion: reduced ? "reduce" : "no-preference",
    javaScriptEnabled: script,
    timezoneId: zone,
    locale: "en-GB",
  });
  const page = await context.newPage();
  page.problems = watch(page, new URL(url).origin, expected);
  if (print) await page.emulateMedia({ media: "print" });
  // A page's script is loaded once the page is painted; nobody is so quick as to notice.
  for (const name of ["goto", "reload", "waitForURL"]) {
    const plain = page[name].bind(page);
    page[name] = async (...args) => {
      const answer = await plain(...args);
      if (args.at(-1)?.waitUntil !== "commit") await page.waitForSelector("html.ready, html:not(.script)", { state: "attached" });
      return answer;
    };
  }
  await page.goto(url, { waitUntil: "load" });
  return page;
}

// watch collects what no page may do: console messages of any kind, errors, requests to elsewhere,
// requests that fail.
function watch(page, origin, expected) {
  const problems = [];
  const add = (text) => {
    if (!expected?.test(text)) problems.push(text);
  };
  page.on("console", (message) => add(`console.${message.type()}: ${message.text()} (${message.location().url})`));
  page.on("pageerror", (err) => add(`error: ${err.stack ?? err}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(origin + "/")) add(`request elsewhere: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) add(`${response.status()}: ${response.url()}`);
  });
  page.on("crash", () => add("the page has crashed"));
  page.on("dialog", (dialog) => {
    add(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return problems;
}

// close closes pages with their contexts, and fails if they did what no page may.
export async function close(...pages) {
  for (const page of pages) {
    const url = page.url();
    await page.context().close();
    assert.deepEqual(page.problems, [], `problems of ${url}`);
  }
}

// withPage opens a page, does something with it, and closes it. If that fails, the error has what the
// page said.
export async function withPage(browser, url, options, use) {
  const page = await open(browser, url, options);
  try {
    await use(page);
  } catch (err) {
    const text = await page.locator("body").innerText({ timeout: 2000 }).catch((why) => `no text: ${why.message}`);
    err.message += `\nat ${new Date().toISOString()} ${page.url()} said:\n${text.slice(0, 3000)}`;
    throw err;
  } finally {
    await page.context().close();
  }
  assert.deepEqual(page.problems, [], `problems of ${url}`);
}

// findings are the violations that axe finds on a page. The script runs by the debugging protocol:
// the page's own policy does not allow others.
export async function findings(page) {
  const session = await page.context().newCDPSession(page);
  const evaluate = async (expression, options = {}) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", { expression, ...options });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await evaluate(axe.source + ";0");
  const run = "axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))";
  const violations = JSON.parse(await evaluate(run, { awaitPromise: true, returnByValue: true }));
  await session.detach();
  return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html).join("  ")}`);
}

// sideways is by how many pixels the page is wider than the window, and what sticks out, but for what
// scrolls by itself.
export function sideways(page) {
  return page.evaluate((wide) => {
    const scrolls = (e) => e && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
    const out = [...document.querySelectorAll("body *")].filter((e) => {
      const box = e.getBoundingClientRect();
      return box.width > 0 && box.right > wide + 1 && !e.ownerSVGElement && !scrolls(e.parentElement);
    });
    return { over: document.documentElement.scrollWidth - wide, out: out.slice(0, 5).map((e) => e.outerHTML.slice(0, 160)) };
  }, page.viewportSize().width);
}

// photograph writes a picture of the window, or of the whole page, to a PNG file.
export async function photograph(page, file, { whole = false } = {}) {
  await mkdir(path.dirname(file), { recursive: true });
  await page.evaluate(() => document.fonts.ready.then(() => {}));
  await page.screenshot({ path: file, fullPage: whole, animations: "disabled" });
}

// eventually waits until a function returns something true, and returns it.
export async function eventually(what, check, within = 20_000) {
  const until = performance.now() + within;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > until) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
