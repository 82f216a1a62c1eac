/**
 * Starts the server that HANAMICHI_BINARY names in demo mode, and a browser; gives each actor a page of its own.
 * Everything a story needs to know about start-up is in this file.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(join(root, "web/package.json"));
const { chromium } = require("playwright-core");
export const OUTPUT = join(root, "test-output");
const READY_WITHIN_MS = 60_000;

export const OPERATOR = { email: "operator@story.test", password: "a story's password" };

export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
export const DESK = { viewport: { width: 1360, height: 860 } };

const CHROMIUM_FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
  // Pages in the background must keep playing: a story has several people and one screen.
  "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--disable-background-timer-throttling",
];

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** `shop`: settings of an empty shop that is run for real, whose operator is OPERATOR; without it the demo. */
export async function startServer(shop) {
  // The server refuses settings it does not know, and this one is ours.
  const { HANAMICHI_BINARY: binary, ...environment } = process.env;
  if (binary === undefined) throw new Error("HANAMICHI_BINARY must name the server's binary");
  const port = await freePort();
  const dataDir = await mkdtemp(join(tmpdir(), "hanamichi-stories-"));
  const base = `http://127.0.0.1:${port}`;
  let log = "";
  let server;
  let ended;
  const stop = async () => {
    server.kill("SIGTERM");
    const patience = setTimeout(() => server.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(patience);
    await rm(dataDir, { recursive: true, force: true });
  };
  const run = async () => {
    const settings = shop === undefined ? {} : {
      HANAMICHI_LISTEN: `127.0.0.1:${port}`, HANAMICHI_DATABASE: `sqlite:${join(dataDir, "hanamichi.db")}`, HANAMICHI_PUBLIC_URL: base,
      HANAMICHI_OPERATOR__EMAIL: OPERATOR.email, HANAMICHI_OPERATOR__PASSWORD: OPERATOR.password, ...shop,
    };
    server = spawn(binary, shop === undefined ? ["demo", "--port", String(port), "--data-dir", dataDir] : ["serve"], {
      stdio: ["ignore", "pipe", "pipe"],
      // Any free UDP port: stories may run beside a server that is in use.
      env: { ...environment, HANAMICHI_MEDIA__LISTEN: "0.0.0.0:0", ...settings },
    });
    for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => { log = (log + chunk).slice(-20_000); });
    ended = new Promise((resolve) => server.once("exit", resolve));
    try {
      if (shop !== undefined) {
        await waitFor("the server", async () => {
          if (server.exitCode !== null) throw new Error(`the server stopped with ${server.exitCode}`);
          return fetch(`${base}/readyz`).then((answer) => answer.ok, () => false);
        }, READY_WITHIN_MS);
        return;
      }
      // Ready is when the demo has people, goods and a live with a picture; the server itself answers earlier.
      await waitFor("the demo to be on air", async () => {
        if (server.exitCode !== null) throw new Error(`the server stopped with ${server.exitCode}`);
        const demo = await fetch(`${base}/v1/demo`).then((answer) => answer.json(), () => null);
        if (typeof demo?.live_id !== "string") return false;
        const live = await (await fetch(`${base}/v1/lives/${demo.live_id}`)).json();
        return live.state === "live" && live.media === "up";
      }, READY_WITHIN_MS);
    } catch (error) {
      await stop();
      throw new Error(`${error.message}\n${log}`, { cause: error });
    }
  };
  await run();
  /** As when a machine fails: no goodbye to anybody. `again` starts it over the same data, at the same address. */
  const crash = async () => {
    server.kill("SIGKILL");
    await ended;
  };
  return { base, stop, crash, again: run, log: () => log };
}

export async function openBrowser() {
  await mkdir(OUTPUT, { recursive: true });
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: CHROMIUM_FLAGS });
}

/** Opens stories' pages and remembers what went wrong or astray in any of them. */
export class Stage {
  #browser;
  #people = [];
  /** Errors of our own pages, and requests to anywhere but the server. */
  faults = [];
  /** Other hosts that pages may ask. */
  others = new Set();

  constructor(browser, base) {
    this.#browser = browser;
    this.base = base;
  }

  /** A person: a browser context with its own cookies. `role` signs in by the demo's own door. */
  async person(name, device, role) {
    const context = await this.#browser.newContext({ locale: "ja-JP", baseURL: this.base, permissions: ["camera", "microphone"], ...device });
    // Statistics are read from the page's own connections; the product keeps no handle for tests.
    await context.addInitScript(() => {
      const Native = window.RTCPeerConnection;
      window.peers = [];
      window.RTCPeerConnection = class extends Native {
        constructor(...args) {
          super(...args);
          window.peers.push(this);
        }
      };
    });
    const page = await context.newPage();
    page.on("pageerror", (error) => this.faults.push(`${name}: ${error.stack ?? error}`));
    page.on("request", (request) => {
      const url = new URL(request.url());
      const known = url.host === new URL(this.base).host || this.others.has(url.host);
      if (/^(https?|wss?):$/.test(url.protocol) && !known) this.faults.push(`${name}: asked ${request.url()}`);
    });
    if (role !== undefined) await call(context.request, "POST", `${this.base}/v1/demo/sign-in`, { role });
    const person = { name, page, context, api: (method, path, body, headers) => call(context.request, method, this.base + path, body, headers) };
    this.#people.push(person);
    return person;
  }

  async picture(person, name) {
    await person.page.screenshot({ path: join(OUTPUT, `${name}.png`) });
  }

  /** On a failure: what everybody saw. */
  async pictures(name) {
    for (const person of this.#people) {
      await this.picture(person, `${name}-${person.name}`).catch(() => undefined);
    }
  }

  async close() {
    for (const person of this.#people) await person.context.close();
  }
}

async function call(request, method, url, body, headers = {}) {
  const answer = await request.fetch(url, { method, headers: { origin: new URL(url).origin, ...headers }, ...(body === undefined ? {} : { data: body }) });
  if (!answer.ok()) throw new Error(`${method} ${url}: ${answer.status()} ${await answer.text()}`);
  return answer.status() === 204 ? null : answer.json();
}

export async function waitFor(what, check, withinMs = 15_000) {
  const until = Date.now() + withinMs;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > until) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export const at = (testId) => `[data-testid="${testId}"]`;

/** What the page's video has shown: decoded frames by the connection's statistics, and the picture's size. */
export function picture(page) {
  return page.evaluate(async () => {
    const video = document.querySelector("video");
    let framesDecoded = 0;
    for (const peer of window.peers) {
      if (peer.connectionState === "closed") continue;
      for (const entry of (await peer.getStats()).values()) {
        if (entry.type === "inbound-rtp" && entry.kind === "video") framesDecoded += entry.framesDecoded ?? 0;
      }
    }
    return { framesDecoded, width: video?.videoWidth ?? 0, height: video?.videoHeight ?? 0, currentTime: video?.currentTime ?? 0 };
  });
}

export async function movingPicture(page, what, withinMs = 20_000) {
  const first = await waitFor(`a picture for ${what}`, async () => {
    const seen = await picture(page);
    return seen.framesDecoded > 0 && seen.width > 0 ? seen : null;
  }, withinMs);
  return waitFor(`the picture to advance for ${what}`, async () => {
    const seen = await picture(page);
    return seen.framesDecoded > first.framesDecoded + 5 && seen.currentTime > first.currentTime ? seen : null;
  }, withinMs);
}

/** What stands in the way of a keyboard or a screen reader on this page, in this colour scheme. */
export async function obstacles(page, scheme) {
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  // The page takes its new colours over some frames: what is measured in between is nobody's page.
  await page.waitForTimeout(600);
  // Through the debugger, because the page's own policy rightly refuses foreign scripts.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: await readFile(require.resolve("axe-core/axe.min.js"), "utf8") });
  // Colours are judged when they have arrived, not on their way from the other scheme.
  await page.evaluate(async () => {
    for (let frame = 0; frame < 2; frame += 1) await new Promise((resolve) => requestAnimationFrame(resolve));
    await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
  });
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.html.slice(0, 160)}`)));
  await session.detach();
  return found;
}

/** One server and one browser for all the stories of a file. `shop`: as `startServer` takes it, asked when it starts. */
export function openHouse(shop) {
  const house = { server: null, browser: null };
  before(async () => {
    house.server = await startServer(await shop?.());
    house.browser = await openBrowser();
  }, { timeout: 90_000 });
  after(async () => {
    await house.browser?.close();
    await house.server?.stop();
  });
  /** Each story on its own stage; a failure leaves everybody's last picture and the server's last words. */
  house.story = (name, slug, act) => test(name, { timeout: 180_000 }, async () => {
    const stage = new Stage(house.browser, house.server.base);
    try {
      await act(stage);
      assert.deepEqual(stage.faults, [], "no page threw, and none asked another host");
    } catch (error) {
      await stage.pictures(`failed-${slug}`);
      console.error(house.server.log());
      throw error;
    } finally {
      await stage.close();
    }
  });
  return house;
}

/** A product of the story's own, so that nobody else moves its stock. */
export async function makeProduct(stage, brandId, { title, priceMinor, units }) {
  const operator = await stage.person("operator", DESK, "operator");
  const product = await operator.api("POST", `/v1/brands/${brandId}/products`, {
    title, description: "物語のための品", skus: [{ price_minor: priceMinor, tax_rate_bp: 1000 }],
  });
  const locations = (await operator.api("GET", "/v1/locations")).items;
  const warehouse = locations.find((location) => location.kind === "warehouse");
  if (warehouse === undefined) throw new Error("the demo has no warehouse");
  const sku = product.skus[0].id;
  const adjust = (delta, reason) => operator.api("POST", "/v1/stock/adjustments", { sku_id: sku, location_id: warehouse.id, delta, reason });
  await adjust(units, "receive");
  // The demo's host may have seen the shelf empty a moment ago and bring goods too: those are sold at once.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { available } = await operator.api("GET", `/v1/skus/${sku}/stock`);
  const left = available > units ? (await adjust(units - available, "till_sale")).available : available;
  if (left !== units) throw new Error(`received ${units}, available ${left}`);
  return product;
}
