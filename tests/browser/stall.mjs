/** What stories of the brand's pages begin with: a live that sells one thing, people who buy it, and pages as all their readers have them. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { at, DESK, makeProduct, obstacles, OUTPUT, PHONE, waitFor } from "./harness.mjs";

export const PRICE = 4_980;
/** Enough that the demo's own host, who refills what runs low, leaves it alone. */
const UNITS = 40;

export const fits = async (page, what) => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `nothing of ${what} sticks out`);
export const value = async (page, testId, attribute = "data-value") => Number(await page.locator(at(testId)).first().getAttribute(attribute));

/** A live with one product on stage. */
export async function stall(stage, name) {
  const demo = await (await fetch(`${stage.base}/v1/demo`)).json();
  const title = `${name} ${Date.now()}`;
  const product = await makeProduct(stage, demo.brand_id, { title, priceMinor: PRICE, units: UNITS });
  const liver = await stage.person("liver", DESK, "liver");
  const live = await liver.api("POST", "/v1/lives", { title: name });
  await liver.api("POST", `/v1/lives/${live.id}/start`, {});
  const pin = await liver.api("POST", `/v1/lives/${live.id}/pins`, { product_id: product.id });
  const me = await liver.api("GET", "/v1/me");
  return { brandId: demo.brand_id, liver, liverId: me.liver_id, live, product, title, offer: pin.offers[0], end: () => liver.api("POST", `/v1/lives/${live.id}/end`, {}) };
}

/** Somebody new, who buys so many units; answers the order. */
export async function buy(stage, name, offer, qty, device = DESK) {
  const buyer = await stage.person(name, device);
  await buyer.api("POST", "/v1/sign-up", { email: `${randomUUID()}@story.test`, password: "a story's password", display_name: name });
  return { buyer, orderId: await buyAgain(buyer, offer, qty) };
}

export async function buyAgain(buyer, offer, qty) {
  const { test_methods: methods } = await buyer.api("GET", "/v1/payment-options");
  const sheet = await buyer.api("GET", `/v1/offers/${offer.id}/confirmation?qty=${qty}`);
  const purchase = await buyer.api("POST", "/v1/purchases", { offer_id: offer.id, qty, confirmation_hash: sheet.hash, payment_method: methods[0].method }, { "idempotency-key": randomUUID() });
  return waitFor(`${buyer.name}'s order`, async () => {
    const { state, order_id: orderId } = await buyer.api("GET", `/v1/purchases/${purchase.id}`);
    return state === "authorized" || state === "captured" ? orderId : null;
  });
}

/** One page as its readers have it: on a phone and a desk, in both languages, in light and dark, for screen readers. */
export async function everyReader(stage, role, path, ready, name) {
  for (const [device, settings] of [["phone", PHONE], ["desk", DESK]]) {
    const reader = await stage.person(`${name}-${device}`, settings, role);
    const { page } = reader;
    await page.goto(path);
    for (const language of ["ja", "en"]) {
      if (language === "en") await page.click(at("language"));
      await page.waitForSelector(ready);
      assert.equal(await page.getAttribute("html", "lang"), language);
      await page.waitForFunction(() => document.querySelector(".skeleton") === null);
      for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(page, scheme), [], `${name} on a ${device} in ${language}, ${scheme}`);
      await fits(page, `${name} on a ${device} in ${language}`);
      await page.screenshot({ path: join(OUTPUT, `${name}-${device}-${language}.png`), fullPage: true });
    }
    await reader.context.close();
  }
}
