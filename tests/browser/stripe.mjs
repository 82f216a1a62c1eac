/** A shop that is paid by Stripe, in the browser: its form, its script, and what a bank asks. Run: npm --prefix web run stories */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { at, DESK, obstacles, openHouse, OPERATOR, PHONE, waitFor } from "./harness.mjs";
import { CARDS, HOSTS, startPeer } from "./stripe-peer.mjs";

const PRICE = 4_980;
let peer;
const house = openHouse(async () => {
  peer = await startPeer();
  return peer.settings;
});
const { story } = house;
after(() => peer?.close());

/** Somebody with an account of their own; a demo's door is not in this shop. */
async function member(stage, name, device, { email, password, ...rest }) {
  const person = await stage.person(name, device);
  if (rest.display_name !== undefined) await person.api("POST", "/v1/sign-up", { email, password, ...rest });
  else await person.api("POST", "/v1/sign-in", { email, password });
  return person;
}

async function stall(stage) {
  const operator = await member(stage, "operator", DESK, OPERATOR);
  const warehouse = await operator.api("POST", "/v1/locations", { kind: "warehouse", name: "物語の倉庫" });
  const brand = await operator.api("POST", "/v1/brands", { name: "物語の窯", commission_bp: 1_000, invoice_number: "T1234567890123" });
  const product = await operator.api("POST", `/v1/brands/${brand.id}/products`, { title: "物語の湯呑み", description: "物語のための品", skus: [{ price_minor: PRICE, tax_rate_bp: 1_000 }] });
  await operator.api("POST", "/v1/stock/adjustments", { sku_id: product.skus[0].id, location_id: warehouse.id, delta: 9, reason: "receive" });
  const account = { email: `liver-${Date.now()}@story.test`, password: "a story's password" };
  await operator.api("POST", "/v1/livers", { ...account, display_name: "きつね" });
  const liver = await member(stage, "liver", DESK, account);
  const live = await liver.api("POST", "/v1/lives", { title: "本物の支払い" });
  await liver.api("POST", `/v1/lives/${live.id}/start`, {});
  await liver.api("POST", `/v1/lives/${live.id}/pins`, { product_id: product.id });
  return live;
}

describe("a shop that is paid by Stripe", { concurrency: 1 }, () => {
  story("its script fails and comes, a bank asks above the live, and a card is saved ahead", "stripe", async (stage) => {
    const live = await stall(stage);
    for (const host of Object.values(HOSTS)) stage.others.add(host);
    const buyer = await member(stage, "buyer", PHONE, { email: `buyer-${Date.now()}@story.test`, password: "a story's password", display_name: "あおい" });
    const { page } = buyer;
    const refused = [];
    page.on("console", (message) => { if (/Content Security Policy/.test(message.text())) refused.push(message.text()); });
    const script = { comes: false };
    await peer.meet(page, { script });

    // Nothing of Stripe's is asked before somebody wants to pay by it.
    const toStripe = [];
    page.on("request", (request) => { if (request.url().includes(HOSTS.script)) toStripe.push(request.url()); });
    await page.goto(`/watch/${live.id}`);
    await page.locator(at("buy")).first().waitFor();
    assert.deepEqual(toStripe, []);

    // Its script does not come: the page says so, nothing can be ordered, and another try is one tap.
    await page.click(at("buy"));
    await page.waitForSelector(at("stripe-failed"));
    assert.ok(await page.locator(at("place-order")).isDisabled(), "nothing to pay with");
    assert.equal(await page.locator(`${at("payment")} ${at("sandbox")}`).count(), 0, "this is no sandbox");
    await stage.picture(buyer, "stripe-failed-phone-ja");
    assert.deepEqual(await obstacles(page, "light"), [], "the failure");
    script.comes = true;
    await page.click(at("stripe-retry"));
    await page.waitForSelector(`${at("stripe-form")}[data-state="ready"]`);
    const form = page.frameLocator(`${at("stripe-form")} iframe`);
    await page.click(`${at("place-order")}:enabled`);
    await page.waitForSelector(at("stripe-problem"));

    // The form's words become a token; the bank asks in a frame above the live, which the sheet makes room for.
    await form.locator("#number").fill(CARDS.asks);
    const { options } = await page.evaluate(() => window.stripeAsked);
    assert.deepEqual([options.mode, options.amount, options.currency, options.paymentMethodTypes], ["payment", PRICE, "jpy", ["card"]]);
    await page.click(`${at("place-order")}:enabled`);
    const bank = page.frameLocator('iframe[title="Bank"]');
    await bank.locator("#approve").click();
    await page.waitForSelector(`${at("purchase-status")}[data-outcome="paid"]`, { timeout: 20_000 });
    assert.equal(await page.evaluate(() => document.querySelector("dialog[open]") !== null), true, "the sheet is back");
    const [purchase] = (await buyer.api("GET", "/v1/purchases")).items;
    assert.equal(purchase.state, "authorized");
    const [intent] = [...peer.intents.values()];
    assert.deepEqual([peer.intents.size, intent.amount, intent.metadata.purchase], [1, PRICE, purchase.id]);
    assert.ok(!peer.asked.some(({ body }) => body.includes(`number`)), "no card data passes our server");
    await stage.picture(buyer, "stripe-paid-phone-ja");

    // A card is saved ahead by Stripe's form, and pays in two taps without its script.
    await page.goto("/cards");
    await page.click(at("add-card-open"));
    await page.waitForSelector(`${at("add-card")} ${at("stripe-form")}[data-state="ready"]`);
    await page.frameLocator(`${at("add-card")} iframe`).locator("#number").fill(CARDS.works);
    await stage.picture(buyer, "stripe-add-card-phone-ja");
    await page.click(`${at("add-submit")}:enabled`);
    await page.locator(`${at("saved-card")}[data-last4="4242"]`).waitFor();
    const [card] = (await buyer.api("GET", "/v1/payment-methods")).items;
    toStripe.length = 0;
    await page.goto(`/watch/${live.id}`);
    await page.click(at("buy"));
    await page.waitForSelector(`${at("way")}[data-way="${card.id}"]:checked`);
    await page.click(`${at("place-order")}:enabled`);
    await page.waitForSelector(`${at("purchase-status")}[data-outcome="paid"]`, { timeout: 20_000 });
    assert.deepEqual(toStripe, [], "two taps need nothing of Stripe's in the page");
    await waitFor("two payments", async () => peer.intents.size === 2);
    assert.deepEqual(refused, [], "the page's policy lets in what is needed");
  });
});
