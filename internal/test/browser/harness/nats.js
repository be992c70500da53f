// A client of NATS that subscribes and asks: all that the tests need of it. It measures without
// anything in between.

import { connect } from "node:net";

export class Connection {
  // open connects to a server without a login.
  static open(url) {
    const { hostname, port } = new URL(url);
    const c = new Connection();
    c.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    return new Promise((resolve, reject) => {
      c.socket.once("error", reject);
      c.opened = () => {
        c.socket.off("error", reject);
        c.socket.on("error", (err) => c.fail(err));
        c.socket.write('CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"test","version":"0"}\r\n');
        resolve(c);
      };
      c.socket.on("data", (data) => c.read(data));
      c.socket.on("close", () => c.fail(new Error("the NATS server has closed the connection")));
    });
  }

  subscriptions = new Map();
  asked = new Map();
  last = 0;
  rest = Buffer.alloc(0);
  inbox = `_INBOX.${process.pid}${Math.random().toString(36).slice(2)}`;

  // subscribe calls handle with payload, subject and headers of each message.
  subscribe(subject, handle) {
    const id = String(++this.last);
    this.subscriptions.set(id, handle);
    this.socket.write(`SUB ${subject} ${id}\r\n`);
  }

  publish(subject, payload, reply = "") {
    const data = Buffer.from(payload);
    this.socket.write(Buffer.concat([Buffer.from(`PUB ${subject} ${reply} ${data.length}\r\n`), data, Buffer.from("\r\n")]));
  }

  // request resolves to the payload of the answer.
  request(subject, payload, timeout = 10_000) {
    if (this.asked.size === 0 && !this.listening) {
      this.listening = true;
      this.subscribe(`${this.inbox}.*`, (data, to, headers) => {
        const waiting = this.asked.get(to);
        this.asked.delete(to);
        if (headers.startsWith("NATS/1.0 503")) {
          waiting?.reject(new Error("nobody answers"));
        }
        waiting?.resolve(data);
      });
    }
    const reply = `${this.inbox}.${++this.last}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.asked.delete(reply);
        reject(new Error(`no answer on ${subject} within ${timeout} ms`));
      }, timeout);
      const settle = (then) => (value) => {
        clearTimeout(timer);
        then(value);
      };
      this.asked.set(reply, { resolve: settle(resolve), reject: settle(reject) });
      this.publish(subject, payload, reply);
    });
  }

  close() {
    this.closed = true;
    this.socket.destroy();
  }

  fail(err) {
    for (const waiting of this.asked.values()) waiting.reject(err);
    this.asked.clear();
    if (!this.closed) this.closed = true;
  }

  // read handles whatever is complete of what has arrived.
  read(data) {
    this.rest = Buffer.concat([this.rest, data]);
    for (;;) {
      const end = this.rest.indexOf("\r\n");
      if (end < 0) return;
      const words = this.rest.toString("latin1", 0, end).split(" ");
      let after = end + 2;
      if (words[0] === "MSG" || words[0] === "HMSG") {
        const size = Number(words.at(-1));
        if (this.rest.length < after + size + 2) return;
        const headerSize = words[0] === "HMSG" ? Number(words.at(-2)) : 0;
        const body = this.rest.subarray(after, after + size);
        after += size + 2;
        this.rest = this.rest.subarray(after);
        this.subscriptions.get(words[2])?.(body.toString("utf8", headerSize), words[1], body.toString("latin1", 0, headerSize));
        continue;
      }
      this.rest = this.rest.subarray(after);
      if (words[0] === "INFO") this.opened?.();
      if (words[0] === "PING") this.socket.write("PONG\r\n");
      if (words[0] === "-ERR") this.fail(new Error(words.join(" ")));
    }
  }
}
