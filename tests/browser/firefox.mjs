/**
 * Firefox publishes and watches, with the product's own pages. Run: npm --prefix web run stories
 *
 * Firefox never pairs with an address of the loopback, so server and browsers meet on a cable of their own: this file
 * runs itself once more in a network of its own, where the server is given another one. When the processes end, so do
 * both; nothing of the machine's network is touched. It takes root, or sudo that asks no password.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readlink, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { at, movingPicture, openBrowser, OUTPUT, PHONE, Stage, waitFor } from "./harness.mjs";

const require = createRequire(fileURLToPath(new URL("../../web/package.json", import.meta.url)));
const OURS = { browsers: "10.77.0.1", server: "10.77.0.2" };
const PORT = 8_080;
const BASE = `http://${OURS.server}:${PORT}`;
const OPERATOR = { email: "operator@story.test", password: "a story's password" };
const LIVER = { email: "firefox@story.test", password: "a story's password", display_name: "きつね" };
const WITHIN_MS = 120_000;

/** A camera and a microphone that are not there, on a page without TLS, in a network without a way out. */
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.devices.insecure.enabled": true,
  "media.getusermedia.insecure.enabled": true,
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "network.manage-offline-status": false,
  "network.connectivity-service.enabled": false,
  "network.captive-portal-service.enabled": false,
  "intl.accept_languages": "ja",
  "intl.locale.requested": "ja",
};

function run(command, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", reject);
    child.once("exit", (code, signal) => (code === 0 ? resolve() : reject(new Error(`${command} ${args.join(" ")} ended with ${code ?? signal}`))));
  });
}

if (process.env.HANAMICHI_APART === undefined) {
  test("firefox publishes by WHIP and watches by WHEP, and Chromium watches it too", { timeout: 2 * WITHIN_MS }, async () => {
    // Made by who runs the tests, not by root.
    await mkdir(OUTPUT, { recursive: true });
    const kept = ["HANAMICHI_BINARY", "CHROMIUM", "FIREFOX"].filter((name) => process.env[name] !== undefined);
    const environment = ["HANAMICHI_APART=1", ...kept.map((name) => `${name}=${process.env[name]}`)];
    const within = ["timeout", "--signal=KILL", String(WITHIN_MS / 1_000)];
    // Whatever still runs when the first process ends is ended by the kernel.
    const apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--", process.execPath, fileURLToPath(import.meta.url)];
    const [command, ...args] = [...(process.getuid() === 0 ? [] : ["sudo", "-n"]), "env", ...environment, ...within, ...apart];
    await run(command, ...args);
  });
} else {
  await story().catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
  process.exit();
}

/** The server at the other end of the cable. */
async function startServer(dataDir) {
  const { HANAMICHI_BINARY: binary, HANAMICHI_APART: _, ...environment } = process.env;
  if (binary === undefined) throw new Error("HANAMICHI_BINARY must name the server's binary");
  const server = spawn("unshare", ["--net", "--", "sh", "-c", 'read go; exec "$0" serve', binary], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      ...environment,
      HANAMICHI_LISTEN: `${OURS.server}:${PORT}`,
      HANAMICHI_MEDIA__LISTEN: `${OURS.server}:0`,
      HANAMICHI_DATABASE: `sqlite:${join(dataDir, "hanamichi.db")}`,
      HANAMICHI_OPERATOR__EMAIL: OPERATOR.email,
      HANAMICHI_OPERATOR__PASSWORD: OPERATOR.password,
    },
  });
  let log = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => { log = (log + chunk).slice(-20_000); });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const stop = async () => {
    server.kill("SIGTERM");
    const patience = setTimeout(() => server.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(patience);
  };
  try {
    const network = (pid) => readlink(`/proc/${pid}/ns/net`);
    await waitFor("the server's network", async () => (await network(server.pid)) !== (await network("self")));
    await run("ip", "link", "set", "lo", "up");
    await run("ip", "link", "add", "browsers", "type", "veth", "peer", "name", "server", "netns", String(server.pid));
    await run("ip", "address", "add", `${OURS.browsers}/30`, "dev", "browsers");
    await run("ip", "link", "set", "browsers", "up");
    // Browsers offer the address of the way out.
    await run("ip", "route", "add", "default", "via", OURS.server);
    const there = ["nsenter", "--net", "--target", String(server.pid), "ip"];
    await run(...there, "link", "set", "lo", "up");
    await run(...there, "address", "add", `${OURS.server}/30`, "dev", "server");
    await run(...there, "link", "set", "server", "up");
    server.stdin.end("go\n");
    await waitFor("the server", async () => {
      if (server.exitCode !== null) throw new Error(`the server stopped with ${server.exitCode}`);
      return fetch(`${BASE}/readyz`).then((answer) => answer.ok, () => false);
    }, 30_000);
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${log}`, { cause: error });
  }
  return { stop, log: () => log };
}

async function story() {
  const { default: puppeteer } = await import(require.resolve("puppeteer-core"));
  const dataDir = await mkdtemp(join(tmpdir(), "hanamichi-firefox-"));
  const server = await startServer(dataDir);
  let firefox;
  let chromium;
  let stage;
  const pages = [];
  try {
    firefox = await puppeteer.launch({
      browser: "firefox",
      executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
      headless: true,
      timeout: 60_000,
      extraPrefsFirefox: PREFERENCES,
      // It refuses to run with the home of somebody else.
      env: { ...process.env, HOME: dataDir },
    });
    const open = async (name) => {
      const page = await firefox.newPage();
      // Statistics are read from the page's own connections; the product keeps no handle for tests.
      await page.evaluateOnNewDocument(() => {
        const Native = window.RTCPeerConnection;
        window.peers = [];
        window.RTCPeerConnection = class extends Native {
          constructor(...args) {
            super(...args);
            window.peers.push(this);
          }
        };
      });
      pages.push({ name, page });
      return page;
    };

    // The house has a liver, who schedules a live.
    const operator = await signIn(OPERATOR);
    await operator("POST", "/v1/livers", LIVER);
    const liver = await signIn(LIVER);
    const live = await liver("POST", "/v1/lives", { title: "きつねのライブ" });

    // Firefox goes on air from the studio.
    const studio = await open("studio");
    await studio.setViewport({ width: 1_360, height: 860 });
    await studio.goto(`${BASE}/sign-in`);
    await studio.evaluate(async (liver) => {
      await fetch("/v1/sign-in", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(liver) });
    }, { email: LIVER.email, password: LIVER.password });
    await studio.goto(`${BASE}/studio/${live.id}`);
    await studio.waitForSelector(`${at("go-live")}:enabled`, { timeout: 30_000 });
    await studio.click(at("go-live"));
    await studio.waitForSelector(`${at("sending")}[data-state="live"]`, { timeout: 30_000 });

    // Another Firefox page watches.
    const watch = await open("watch");
    await watch.setViewport({ width: 390, height: 844 });
    await watch.goto(`${BASE}/watch/${live.id}`);
    const seen = await movingPicture(watch, "Firefox", 40_000);
    const heard = await waitFor("sound in Firefox", async () => {
      const packets = await audioPackets(watch);
      return packets > 20 ? packets : null;
    });

    // And Chromium.
    chromium = await openBrowser();
    stage = new Stage(chromium, BASE);
    const guest = await stage.person("chromium", PHONE);
    await guest.page.goto(`/watch/${live.id}`);
    const there = await movingPicture(guest.page, "Chromium", 40_000);
    console.log(`Firefox saw ${seen.framesDecoded} frames of ${seen.width}×${seen.height} and heard ${heard} packets; Chromium saw ${there.framesDecoded} frames`);

    // The studio and the interface say the same of it. A page behind another asks nothing.
    await studio.bringToFront();
    await studio.waitForFunction(() => /[1-9]\d* fps · VP8/.test(document.querySelector('[data-testid="media-picture"]')?.textContent ?? ""), { timeout: 15_000 });
    const media = await liver("GET", `/v1/lives/${live.id}/media`);
    assert.deepEqual([media.state, media.codec, media.viewers.count], ["up", "vp8", 2]);
    // Firefox sends a smaller picture until it knows the way: the shape stays.
    const { width, height } = media.publisher;
    assert.ok(height > 0 && Math.abs(width / height - seen.width / seen.height) < 0.02, `${width}×${height}`);
    assert.ok(media.publisher.audio_bits_per_s > 0 && media.publisher.frames_per_s > 0, JSON.stringify(media));
    await studio.evaluate((panel) => document.querySelector(panel)?.scrollIntoView({ block: "center" }), at("media-panel"));
    await studio.screenshot({ path: join(OUTPUT, "firefox-studio.png") });
    await watch.screenshot({ path: join(OUTPUT, "firefox-watch.png") });
    assert.deepEqual(stage.faults, []);
  } catch (error) {
    for (const { name, page } of pages) await page.screenshot({ path: join(OUTPUT, `failed-firefox-${name}.png`) }).catch(() => undefined);
    await stage?.pictures("failed-firefox");
    console.error(server.log());
    throw error;
  } finally {
    await stage?.close();
    await chromium?.close();
    await firefox?.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Somebody's way to the interface, outside of any browser. */
async function signIn({ email, password }) {
  const entered = await fetch(`${BASE}/v1/sign-in`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ email, password }),
  });
  if (!entered.ok) throw new Error(`sign-in: ${entered.status} ${await entered.text()}`);
  const cookie = entered.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ");
  return async (method, path, body) => {
    const answer = await fetch(BASE + path, {
      method,
      headers: { cookie, origin: BASE, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
}

function audioPackets(page) {
  return page.evaluate(async () => {
    let packets = 0;
    for (const peer of window.peers) {
      if (peer.connectionState === "closed") continue;
      for (const entry of (await peer.getStats()).values()) {
        if (entry.type === "inbound-rtp" && entry.kind === "audio") packets += entry.packetsReceived ?? 0;
      }
    }
    return packets;
  });
}
