/** A brand's own system is told of what happens, misses some of it, and gets it again. Run: npm --prefix web run stories */
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { describe } from "node:test";
import { at, DESK, obstacles, openHouse, waitFor } from "./harness.mjs";
import { buy, everyReader, PRICE, stall } from "./stall.mjs";

// The receiver of these stories stands on this machine; the server reads it when it starts.
process.env.HANAMICHI_WEBHOOKS__ALLOW_PRIVATE = "true";

const house = openHouse();
const { story } = house;
/** A message that is older or newer than this is not taken: somebody may have kept it to send it again. */
const TOLERANCE_S = 300;

/** Whether a message is signed as Standard Webhooks says, by one of its signatures. */
function isSigned({ headers, body }, secret) {
  const { "webhook-id": id, "webhook-timestamp": atS, "webhook-signature": signatures } = headers;
  if (Math.abs(Date.now() / 1000 - Number(atS)) > TOLERANCE_S) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${atS}.${body}`).digest();
  return signatures.split(" ").some((one) => {
    const [version, text] = one.split(",");
    const given = Buffer.from(text ?? "", "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** A brand's system: keeps what it is told, and can be away. */
async function receiver() {
  const taken = [];
  const state = { answer: 204 };
  let server;
  let port = 0;
  const open = () => new Promise((resolve, reject) => {
    server = createServer((request, response) => {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        taken.push({ headers: request.headers, body: Buffer.concat(parts).toString("utf8") });
        response.writeHead(state.answer).end();
      });
    });
    server.once("error", reject);
    // A story that fails must not wait for it.
    server.unref();
    server.listen(port, "127.0.0.1", () => {
      ({ port } = server.address());
      resolve();
    });
  });
  const close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  await open();
  /** The newest try of a message. */
  const take = (message) => taken.findLast(({ headers }) => headers["webhook-id"] === message);
  return { url: `http://127.0.0.1:${port}/hooks`, take, open, close, answers: (status) => { state.answer = status; } };
}

describe("webhooks in the browser", { concurrency: 1 }, () => {
  story("a brand's system is told, misses something, and gets it again", "webhooks", async (stage) => {
    const system = await receiver();
    const { brandId, live, offer, end } = await stall(stage, "知らせの湯呑み");
    const brand = await stage.person("brand", DESK, "brand");
    const { page } = brand;
    const readable = async (what) => {
      for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(page, scheme), [], `${what} in ${scheme}`);
    };
    await page.goto(`/brand/${brandId}`);
    await page.click(at("view-webhooks"));
    await page.waitForSelector(`${at("brand-webhooks")} .empty`);

    // What is wrong is named; the secret is told once, and not lost by mistake.
    await page.click(at("endpoint-add"));
    await page.fill(at("hook-url"), "shop.example");
    await page.click(at("hook-save"));
    assert.match(await page.locator(at("hook-problem")).innerText(), /https:\/\//);
    await readable("the form");
    await stage.picture(brand, "webhooks-form-desk-ja");
    await page.fill(at("hook-url"), system.url);
    await page.fill(at("hook-description"), "基幹システム");
    await page.uncheck(at("hook-event-credit.created"));
    await page.click(at("hook-save"));
    await page.waitForSelector(at("secret"));
    const secret = await page.inputValue(at("secret"));
    assert.match(secret, /^whsec_[A-Za-z0-9+/]+=*$/);
    await readable("the secret");
    await stage.picture(brand, "webhooks-secret-desk-ja");
    await page.keyboard.press("Escape");
    await page.waitForSelector(at("secret-unkept"));
    // A browser that lets nobody copy leaves it selected; one that does has it.
    await page.click(at("secret-copy"));
    await waitFor("the secret to be selected", () => page.evaluate(() => document.activeElement.value?.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd).startsWith("whsec_")));
    await brand.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.click(at("secret-copy"));
    await page.locator(at("secret-unkept")).waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
    await page.click(at("sheet-close"));
    await page.locator(at("secret-sheet")).waitFor({ state: "detached" });
    const endpoint = page.locator(at("endpoint"));
    assert.equal(await endpoint.count(), 1);
    assert.ok(!(await page.content()).includes(secret), "nobody sees it again");

    // A test comes, signed.
    const row = (message) => page.locator(`${at("delivery")}[data-message="${message}"]`);
    const becomes = (message, state) => page.locator(`${at("delivery")}[data-message="${message}"][data-state="${state}"]`).waitFor();
    const tests = () => page.locator(`${at("delivery")}[data-event="endpoint.test"]`).evaluateAll((rows) => rows.map(({ dataset }) => dataset.message));
    const sendTest = async () => {
      const before = await tests();
      await page.click(at("endpoint-test"));
      return waitFor("the test among the deliveries", async () => (await tests()).find((message) => !before.includes(message)));
    };
    const first = await sendTest();
    await becomes(first, "delivered");
    await page.locator(at("delivery-said"), { hasText: "204" }).waitFor({ state: "attached" });
    const came = system.take(first);
    assert.equal(JSON.parse(came.body).type, "endpoint.test");
    assert.ok(isSigned(came, secret), "signed with the secret that was shown");
    assert.ok(!isSigned({ ...came, body: `${came.body} ` }, secret), "one more character is another message");

    // The system is away: what fails says why, and is sent again when it is back.
    await system.close();
    const missed = await sendTest();
    await page.locator(`${at("delivery")}[data-message="${missed}"][data-fault="unreachable"][data-tries="2"]`).waitFor({ timeout: 25_000 });
    assert.match(await row(missed).locator(at("delivery-course")).innerText(), /接続できませんでした/);
    await page.waitForSelector(at("endpoint-failing"));
    await page.click(at("deliveries-waiting"));
    await page.waitForURL(/deliveries=waiting/);
    await waitFor("only what waits", async () => (await page.locator(at("delivery")).count()) === 1);
    await readable("what fails");
    await stage.picture(brand, "webhooks-failing-desk-ja");
    await system.open();
    await row(missed).locator(at("resend")).click();
    await row(missed).waitFor({ state: "detached" });
    await page.click(at("deliveries-all"));
    await becomes(missed, "delivered");
    assert.ok(isSigned(system.take(missed), secret));
    await page.locator(at("endpoint-failing")).waitFor({ state: "detached" });

    // Two secrets sign while a receiver changes over.
    await page.click(at("endpoint-renew"));
    await page.click(at("renew-confirm"));
    await page.waitForSelector(at("old-secret-until"));
    const renewed = await page.inputValue(at("secret"));
    assert.notEqual(renewed, secret);
    await page.click(at("secret-copy"));
    await page.click(at("secret-kept"));
    await page.waitForSelector(at("endpoint-old-secret"));
    const both = await sendTest();
    await becomes(both, "delivered");
    assert.deepEqual([isSigned(system.take(both), secret), isSigned(system.take(both), renewed)], [true, true]);

    // Told of sales as well, it hears of one, and what was said of it can be read. Others sell meanwhile: ours has a name.
    const listens = async (event, yes) => {
      await page.click(at("endpoint-change"));
      await page.setChecked(at(`hook-event-${event}`), yes);
      await page.click(at("hook-save"));
      await page.locator(at("endpoint-sheet")).waitFor({ state: "detached" });
    };
    const credits = async () => (await brand.api("GET", `/v1/brands/${brandId}/report/lines?live_id=${live.id}`)).items.map(({ credit_id: id }) => id);
    const sell = async (name, qty) => {
      const before = await credits();
      await buy(stage, name, offer, qty);
      const credit = await waitFor("the credit", async () => (await credits()).find((id) => !before.includes(id)));
      const told = page.locator(`${at("delivery")}[data-subject="${credit}"]`);
      await told.waitFor();
      return told.getAttribute("data-message");
    };
    await listens("credit.created", true);
    const sale = await sell("buyer", 2);
    await becomes(sale, "delivered");
    assert.ok(isSigned(system.take(sale), renewed));
    await row(sale).locator(at("delivery-body-open")).click();
    const shown = JSON.parse(await row(sale).locator(at("delivery-body")).innerText());
    assert.deepEqual(shown, JSON.parse(system.take(sale).body), "what is shown is what was sent");
    assert.deepEqual([shown.type, shown.data.base_minor], ["credit.created", PRICE * 2]);
    await readable("the deliveries");

    // Not for now: nothing is sent, and nothing lost.
    await page.click(at("endpoint-pause"));
    await page.waitForSelector(`${at("endpoint")}[data-state="paused"]`);
    assert.equal(await page.locator(at("endpoint-test")).isDisabled(), true);
    const kept = await sell("second", 1);
    assert.deepEqual([await row(kept).getAttribute("data-state"), await row(kept).getAttribute("data-tries"), system.take(kept)], ["waiting", "0", undefined]);
    await page.click(at("endpoint-resume"));
    await becomes(kept, "delivered");
    await listens("credit.created", false);
    const { items } = await brand.api("GET", `/v1/brands/${brandId}/webhook-endpoints`);
    assert.deepEqual(items.map(({ events }) => events), [["statement.closed"]]);

    // A system that says it is gone is left alone, until somebody says otherwise.
    system.answers(410);
    const unwanted = await sendTest();
    await page.waitForSelector(`${at("endpoint")}[data-state="disabled"][data-because="gone"]`);
    await becomes(unwanted, "failed");
    await everyReader(stage, "brand", page.url().replace(stage.base, ""), at("delivery"), "webhooks");
    system.answers(200);
    await page.click(at("endpoint-resume"));
    await page.waitForSelector(`${at("endpoint")}[data-state="active"]`);
    await page.click(at("resend-failed"));
    await becomes(unwanted, "delivered");
    await page.locator(at("resend-failed")).waitFor({ state: "detached" });

    await page.click(at("endpoint-remove"));
    await page.click(at("remove-confirm"));
    await page.waitForSelector(`${at("brand-webhooks")} .empty`);
    await end();
    await system.close();
  });
});
