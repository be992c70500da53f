// A thread that holds streams open, as that many browsers would, each from an address of its own: one
// address may have a few only.

import { get } from "node:http";
import { parentPort, workerData } from "node:worker_threads";

const { page, n, after, paths } = workerData;

function ask(url, address) {
  return new Promise((resolve, reject) => {
    get(url, { localAddress: address, agent: false }, resolve).on("error", reject);
  });
}

async function view(i) {
  const path = paths[i % paths.length], address = `127.0.${1 + (i >> 7)}.${1 + (i & 127)}`;
  const answer = await ask(page + path, address);
  let html = "";
  for await (const part of answer.setEncoding("utf8")) html += part;
  const params = new URLSearchParams({ of: path, id: html.match(/data-id="([^"]+)"/)[1], rows: "60" });
  const map = html.match(/data-members="(\d+)"/);
  if (map) params.set("map", map[1]);
  const stream = await ask(`${page}/live?${params}`, address);
  if (stream.statusCode !== 200) throw new Error(`view ${i} of ${path}: ${stream.statusCode}`);
  stream.resume();
}

// Ten at a time: nobody's 400 browsers ask in the same moment.
let next = after;
const some = async () => {
  while (next < after + n) await view(next++);
};
await Promise.all(Array.from({ length: 10 }, some));
parentPort.postMessage("open");
