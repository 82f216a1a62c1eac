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
  const ofType = (type) => taken.filter(({ body }) => JSON.parse(body).type === type);
  return { url: `http://127.0.0.1:${port}/hooks`, taken, ofType, open, close, answers: (status) => { state.answer = status; } };
}

describe("webhooks in the browser", { concurrency: 1 }, () => {
  story("a brand's system is told, misses something, and gets it again", "webhooks", async (stage) => {
    const system = await receiver();
    const { brandId, offer, end } = await stall(stage, "知らせの湯呑み");
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
    await page.click(at("hook-save"));
    await page.waitForSelector(at("secret"));
    const secret = await page.inputValue(at("secret"));
    assert.match(secret, /^whsec_[A-Za-z0-9+/]+=*$/);
    await readable("the secret");
    await stage.picture(brand, "webhooks-secret-desk-ja");
    await page.keyboard.press("Escape");
    await page.waitForSelector(at("secret-unkept"));
    await page.click(at("secret-copy"));
    await page.click(at("secret-kept"));
    await page.locator(at("secret-sheet")).waitFor({ state: "detached" });
    const endpoint = page.locator(at("endpoint"));
    assert.equal(await endpoint.count(), 1);
    assert.ok(!(await page.content()).includes(secret), "nobody sees it again");

    // A test comes, signed.
    const row = (event) => page.locator(`${at("delivery")}[data-event="${event}"]`).first();
    const becomes = (event, state) => page.locator(`${at("delivery")}[data-event="${event}"]:nth-child(1)[data-state="${state}"]`).waitFor();
    await page.click(at("endpoint-test"));
    await becomes("endpoint.test", "delivered");
    await page.locator(at("delivery-said"), { hasText: "204" }).waitFor({ state: "attached" });
    const [first] = system.ofType("endpoint.test");
    assert.ok(isSigned(first, secret), "signed with the secret that was shown");
    assert.ok(!isSigned({ ...first, body: `${first.body} ` }, secret), "one more character is another message");
    assert.equal(await row("endpoint.test").getAttribute("data-message"), first.headers["webhook-id"]);

    // So does a sale, and what was said of it can be read.
    await buy(stage, "buyer", offer, 2);
    await becomes("credit.created", "delivered");
    const [sale] = system.ofType("credit.created");
    assert.ok(isSigned(sale, secret));
    await row("credit.created").locator(at("delivery-body-open")).click();
    const shown = JSON.parse(await row("credit.created").locator(at("delivery-body")).innerText());
    assert.deepEqual(shown, JSON.parse(sale.body), "what is shown is what was sent");
    assert.ok(JSON.stringify(shown).includes(String(PRICE * 2)), sale.body);
    await readable("the deliveries");

    // The system is away: what fails says why, and is sent again when it is back.
    await system.close();
    await page.click(at("endpoint-test"));
    const missed = page.locator(`${at("delivery")}[data-event="endpoint.test"][data-fault="unreachable"][data-tries="2"]`);
    await missed.waitFor({ timeout: 25_000 });
    assert.match(await missed.locator(at("delivery-course")).innerText(), /接続できませんでした/);
    await page.waitForSelector(at("endpoint-failing"));
    await page.click(at("deliveries-waiting"));
    await page.waitForURL(/deliveries=waiting/);
    await waitFor("only what waits", async () => (await page.locator(at("delivery")).count()) === 1);
    await stage.picture(brand, "webhooks-failing-desk-ja");
    await system.open();
    await missed.locator(at("resend")).click();
    await waitFor("nothing to wait", async () => (await page.locator(at("delivery")).count()) === 0);
    await page.click(at("deliveries-all"));
    await becomes("endpoint.test", "delivered");
    assert.ok(isSigned(system.ofType("endpoint.test").at(-1), secret));
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
    const before = system.taken.length;
    await page.click(at("endpoint-test"));
    const both = await waitFor("the next test", () => system.taken.at(before));
    assert.deepEqual([isSigned(both, secret), isSigned(both, renewed)], [true, true]);

    // Not for now: nothing is sent, and nothing lost.
    await page.click(at("endpoint-pause"));
    await page.waitForSelector(`${at("endpoint")}[data-state="paused"]`);
    assert.equal(await page.locator(at("endpoint-test")).isDisabled(), true);
    await buy(stage, "second", offer, 1);
    await page.locator(`${at("delivery")}[data-event="credit.created"][data-state="waiting"][data-tries="0"]`).waitFor();
    await page.click(at("endpoint-resume"));
    await becomes("credit.created", "delivered");

    // A system that says it is gone is left alone, until somebody says otherwise.
    system.answers(410);
    await page.click(at("endpoint-test"));
    await page.waitForSelector(`${at("endpoint")}[data-state="disabled"][data-because="gone"]`);
    await becomes("endpoint.test", "failed");
    await everyReader(stage, "brand", page.url().replace(stage.base, ""), at("delivery"), "webhooks");
    system.answers(200);
    await page.click(at("endpoint-resume"));
    await page.waitForSelector(`${at("endpoint")}[data-state="active"]`);
    await page.click(at("resend-failed"));
    await becomes("endpoint.test", "delivered");
    await page.locator(at("resend-failed")).waitFor({ state: "detached" });

    // It is told something else from now on, and then nothing.
    await page.click(at("endpoint-change"));
    await page.uncheck(at("hook-event-credit.created"));
    await page.click(at("hook-save"));
    await page.locator(at("endpoint-sheet")).waitFor({ state: "detached" });
    const { items } = await brand.api("GET", `/v1/brands/${brandId}/webhook-endpoints`);
    assert.deepEqual(items.map(({ events }) => events), [["statement.closed"]]);
    await page.click(at("endpoint-remove"));
    await page.click(at("remove-confirm"));
    await page.waitForSelector(`${at("brand-webhooks")} .empty`);
    await end();
    await system.close();
  });
});
