// Where the browser is. Run as a program, it prints that, or what to do.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"];

// executable is the path of the browser: $CHROMIUM, or where packages put it.
export function executable() {
  const found = (process.env.CHROMIUM ? [process.env.CHROMIUM] : places).find((place) => existsSync(place));
  if (!found) {
    const wanted = process.env.CHROMIUM ? `CHROMIUM is ${process.env.CHROMIUM}, which does not exist` : `none of ${places.join(", ")} exists`;
    throw new Error(`no browser: ${wanted}: install the package chromium, or set CHROMIUM to the path of one`);
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(executable());
  } catch (err) {
    console.error(err.message);
    process.exit(1);
  }
}
