// Places an order with Touchstone's orders API and waits for its status. Needs Node 18 and nothing else.
//
//   TOUCHSTONE_API_KEY=fcc_live_… node place-order.mjs [order.json]

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const URL_BASE = (process.env.TOUCHSTONE_URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const API_KEY = process.env.TOUCHSTONE_API_KEY;
const TIMEOUT_MS = 5000;
const ATTEMPTS = 3;
const WAIT_MS = 30_000;

async function send(method, path, document) {
  return fetch(URL_BASE + path, {
    method,
    headers: { "x-api-key": API_KEY, ...(document && { "Content-Type": "application/json" }) },
    body: document && JSON.stringify(document),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

// Where the order is found. Sent again, it is found where it was the first time; the number of another order is an error.
async function place(order) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    let retryAfter = 1;
    try {
      const answer = await send("POST", "/v1/orders", order);
      const known = answer.status === 409 ? await answer.clone().json() : null;
      if (answer.status === 202 || known?.sameOrder) return answer.headers.get("location");
      if (![429, 503].includes(answer.status)) {
        throw Object.assign(new Error(`${answer.status}: ${await answer.text()}`), { final: true });
      }
      retryAfter = Number(answer.headers.get("retry-after") ?? 1);
    } catch (problem) {
      if (problem.final) throw problem;
      console.error(`no answer: ${problem.message}`); // the same order can be sent again
    }
    if (attempt < ATTEMPTS) await sleep(Math.min(retryAfter * 1000, TIMEOUT_MS));
  }
  throw new Error("the order was not taken");
}

// The order once it has a status; a webhook tells it sooner.
async function wait(location) {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const answer = await send("GET", location);
    const order = await answer.json();
    if ((answer.ok && order.status !== "pending") || Date.now() > until) return order;
    await sleep(500);
  }
}

if (!API_KEY) throw new Error("set TOUCHSTONE_API_KEY");
const file = process.argv[2] ?? new URL("../orders-api-order.json", import.meta.url);
const location = await place(JSON.parse(await readFile(file, "utf8")));
console.log(`location: ${location}`);
console.log(`status: ${(await wait(location)).status}`);
