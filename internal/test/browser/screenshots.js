// Photographs the pages: npm run screenshots -- FOLDER
//
// For fleets of 3, 300 and 10,000 machines: each page now and in the past, in a large window and on
// a phone, light and dark. --machines 300,10000, --pages fleet,machine, --sizes phone, --schemes dark and
// --moments now select; --strange, --incomplete and --rate N describe the fleet; --whole photographs
// what is below the window, too.

import path from "node:path";
import { parseArgs } from "node:util";
import { desktop, launch, open, phone, photograph } from "./harness/browser.js";
import { ago, choose, machinePath, userPath } from "./harness/choose.js";
import { startDemo } from "./harness/demo.js";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    machines: { type: "string", default: "3,300,10000" },
    pages: { type: "string", default: "fleet,machines,silent,machine,free,gone,users,several,user,service,find" },
    sizes: { type: "string", default: "desktop,phone" },
    schemes: { type: "string", default: "light,dark" },
    moments: { type: "string", default: "now,past" },
    hours: { type: "string", default: "26" },
    rate: { type: "string" },
    strange: { type: "boolean", default: false },
    incomplete: { type: "boolean", default: false },
    whole: { type: "boolean", default: false },
  },
});
if (positionals.length !== 1) {
  console.error("usage: npm run screenshots -- FOLDER [--machines N,…] [--pages NAME,…] …; see screenshots.js");
  process.exit(2);
}
const list = (name) => flags[name].split(",");
const sizes = { desktop, phone };

const browser = await launch();
try {
  for (const machines of list("machines").map(Number)) {
    const chosen = ["strange", "incomplete"].filter((name) => flags[name]).map((name) => "-" + name);
    const demo = await startDemo({ machines, hours: Number(flags.hours), rate: Number(flags.rate ?? Math.min(5, machines / 500)), flags: chosen });
    try {
      await photographAll(demo, machines);
    } finally {
      await demo.end();
    }
  }
} finally {
  await browser.close();
}

async function photographAll(demo, machines) {
  const { busy, free, silent, several } = await choose(demo);
  const all = {
    fleet: "/",
    machines: "/machines",
    silent: "/machines?state=silent",
    machine: busy && machinePath(busy),
    free: free && machinePath(free),
    gone: silent && machinePath(silent),
    users: "/users",
    several: "/users?state=several",
    user: several && userPath(several),
    service: "/service",
    find: "/find?q=anna",
  };
  for (const name of list("pages")) {
    for (const when of list("moments")) {
      if (!all[name] || (when === "past" && ["service", "find"].includes(name))) continue;
      for (const size of list("sizes")) {
        for (const scheme of list("schemes")) {
          const url = new URL(demo.url(all[name]));
          if (when === "past") url.searchParams.set("at", ago(demo, 4.88));
          const page = await open(browser, url.href, { size: sizes[size], dark: scheme === "dark", zone: demo.zone });
          await settle(page);
          const file = path.join(positionals[0], `${machines}-${name}-${when}-${size}-${scheme}.png`);
          await photograph(page, file, { whole: flags.whole });
          for (const problem of page.problems) console.error(`${file}: ${problem}`);
          console.log(file);
          await page.context().close();
        }
      }
    }
  }
}

// settle waits until nothing of a page is still to come.
async function settle(page) {
  await page.waitForFunction(() => !document.querySelector(".pending"), undefined, { timeout: 5000 }).catch(() => {});
  await page.waitForTimeout(300);
}
