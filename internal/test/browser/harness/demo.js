// The demo: rollcall as processes, with an invented fleet. See ../../demo/main.go.

import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { Connection } from "./nats.js";

const here = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "..");
const root = path.resolve(here, "../../..");
const folder = path.join(here, "build");

// build builds rollcall and the demo, which is quick if they are up to date.
export function build() {
  execFileSync("go", ["build", "-o", folder + path.sep, "./cmd/rollcall", "./internal/test/demo"], { cwd: root, stdio: "inherit" });
}

let built = false;

// startDemo starts a fleet and returns when all of its history is there. Its people do not
// come or go by themselves unless there is a rate.
export async function startDemo({ machines = 300, hours = 26, rate = 0, seed = 1, flags = [] } = {}) {
  if (!built) {
    build();
    built = true;
  }
  const args = ["-rollcall", path.join(folder, "rollcall"), "-commands", "-machines", machines, "-hours", hours, "-rate", rate, "-seed", seed, "-log", "error"];
  const child = spawn(path.join(folder, "demo"), [...args.map(String), ...flags], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) {
    throw new Error(`the demo has ended with ${child.exitCode ?? child.signalCode}; its messages are above`);
  }
  return new Demo(child, lines, JSON.parse(first.value));
}

// Demo has what the demo has printed: nats, http, page (all URLs), now, zone, machines.
export class Demo {
  constructor(child, lines, ready) {
    Object.assign(this, ready);
    this.child = child;
    this.lines = lines;
    this.queue = Promise.resolve();
  }

  // url is the address of a page. It fails if the program has none.
  url(rest = "/") {
    if (!this.page) {
      throw new Error('"rollcall web" is not a command of this program: it has no page');
    }
    return this.page + rest;
  }

  // command sends a command such as "kill page", and waits until it is done.
  command(text) {
    this.queue = this.queue.then(async () => {
      this.child.stdin.write(text + "\n");
      const { value, done } = await this.lines.next();
      const answer = done ? { error: "the demo has ended" } : JSON.parse(value);
      if (answer.error) {
        throw new Error(`${text}: ${answer.error}`);
      }
      if (answer.pid && text === "start page") this.page_pid = answer.pid;
      if (answer.pid && text === "start service") this.service_pid = answer.pid;
      return answer;
    });
    return this.queue;
  }

  // ask runs rollcall, such as ask("who", "web1"), and returns what it prints as JSON: one
  // object, or an array of them if it prints several.
  async ask(...args) {
    const text = await this.run(...args, "-o", "json");
    try {
      return JSON.parse(text);
    } catch {
      return text.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
    }
  }

  // run runs rollcall and returns what it prints.
  async run(...args) {
    const env = { ...process.env, NATS_URL: this.nats };
    const { stdout } = await promisify(execFile)(this.rollcall, args, { env, maxBuffer: 1 << 30 });
    return stdout;
  }

  // connection is one to the demo's NATS server, opened once.
  async connection() {
    this.connected ??= await Connection.open(this.nats);
    return this.connected;
  }

  // publish stores an event, dated now unless it says otherwise, and waits for the ack.
  async publish(event) {
    const nats = await this.connection();
    const answer = await nats.request("rollcall.events", JSON.stringify({ date: new Date().toISOString(), ...event }));
    const ack = JSON.parse(answer);
    if (ack.error) {
      throw new Error(`not stored: ${ack.error.description}`);
    }
    return ack.seq;
  }

  // end ends all processes.
  async end() {
    this.connected?.close();
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, "exit");
      this.child.stdin.end();
      await ended;
    }
  }
}
