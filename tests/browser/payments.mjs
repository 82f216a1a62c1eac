/** Money in the running product: how it is paid, what a bank asks, and how it comes back. Run: npm --prefix web run stories */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "node:test";
import { at, DESK, makeProduct, obstacles, openHouse, OUTPUT, PHONE, waitFor } from "./harness.mjs";

const PRICE = 4_980;
/** Enough that the demo's own host, who refills what runs low, leaves it alone. */
const UNITS = 20;
const CARD = { works: "4242424242424242", declined: "4000000000000002", empty: "4000000000009995", asks: "4000002760003184", lost: "4000000000000119" };

const house = openHouse();
const { story } = house;

/** A live with one product on stage, and the liver at the desk. */
async function stall(stage, name, { minutes } = {}) {
  const demo = await (await fetch(`${house.server.base}/v1/demo`)).json();
  const title = `${name} ${Date.now()}`;
  const product = await makeProduct(stage, demo.brand_id, { title, priceMinor: PRICE, units: UNITS });
  const liver = await stage.person("liver", DESK, "liver");
  const live = await liver.api("POST", "/v1/lives", { title: name });
  await liver.api("POST", `/v1/lives/${live.id}/start`, {});
  const pin = await liver.api("POST", `/v1/lives/${live.id}/pins`, { product_id: product.id, ...(minutes === undefined ? {} : { ends_in_s: minutes * 60 }) });
  return { brandId: demo.brand_id, liver, live, product, title, offer: pin.offers[0], end: () => liver.api("POST", `/v1/lives/${live.id}/end`, {}) };
}

/** The first tap. */
async function openSheet(page, live) {
  await page.goto(`/watch/${live.id}`);
  await page.click(`${at("pin-card")}[data-state="open"] ${at("buy")}`);
  await page.waitForSelector(`${at("buy-sheet")} ${at("payment")}`);
  await page.waitForSelector(at("confirmation"));
}

async function typeCard(page, number) {
  await page.fill(at("test-number"), number);
}

/** The second tap. */
const order = (page) => page.click(`${at("place-order")}:enabled`);
const phase = (page, name, withinMs = 20_000) => page.waitForSelector(`${at("purchase-status")}[data-phase="${name}"]`, { timeout: withinMs });
const newest = async ({ api }) => (await api("GET", "/v1/purchases")).items[0];
const fits = async (page) => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing sticks out");

describe("money in the browser", { concurrency: 1 }, () => {
  story("a card is saved ahead, and a purchase is two taps", "saved-card", async (stage) => {
    const { live, end } = await stall(stage, "先に登録");
    const buyer = await stage.person("buyer", PHONE);
    const { page } = buyer;

    // A guest is asked in; there is no card yet.
    await page.goto("/cards");
    await page.click(`${at("gate-member")} ${at("demo-sign-in-viewer")}`);
    await page.waitForSelector(at("add-card-open"));
    assert.equal(await page.locator(at("saved-card")).count(), 0);
    await page.click(at("add-card-open"));

    // What is no test number is refused on the page, and told why; nothing of it leaves the page.
    const bodies = [];
    page.on("request", (request) => bodies.push(request.url(), request.postData() ?? ""));
    await typeCard(page, "4111111111111111");
    await page.waitForSelector(at("unknown-number"));
    await page.click(at("add-submit"));
    assert.match(await page.locator(at("unknown-number")).innerText(), /本物のカードはご利用いただけません/);
    await stage.picture(buyer, "card-unknown-number-phone-ja");
    assert.deepEqual(await obstacles(page, "light"), [], "the form");
    assert.ok(!bodies.some((sent) => sent.includes("4111")), "a number left the page");

    // The card whose bank asks: it asks now, and says in both languages that it is none.
    await page.click(`${at("add-card")} ${at("test-numbers")} summary`);
    await page.click(`${at("use-number")}[data-method="sandbox_3ds"]`);
    await page.click(at("add-submit"));
    await page.waitForSelector(at("setup-action"));
    await page.click(at("setup-go"));
    await page.waitForSelector(at("sandbox-action"));
    const page3ds = await page.locator(at("sandbox-action")).innerText();
    assert.match(page3ds, /実際のお金は動きません/);
    assert.match(page3ds, /no money moves/);
    await stage.picture(buyer, "sandbox-action-phone-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `the bank's page in ${scheme}`);
    await page.click(at("approve"));
    await page.waitForURL(/\/cards$/);
    const card = page.locator(at("saved-card"));
    await card.waitFor();
    assert.equal(await card.getAttribute("data-last4"), CARD.asks.slice(-4));
    await stage.picture(buyer, "cards-phone-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `the cards in ${scheme}`);
    await fits(page);
    assert.ok(!bodies.some((sent) => /4000.?0027|4111/.test(sent)), "a number left the page");
    const saved = (await buyer.api("GET", "/v1/payment-methods")).items;
    assert.equal(saved.length, 1);

    // Two taps, and the bank asks no more.
    await openSheet(page, live);
    assert.equal(await page.locator(`${at("way")}:checked`).getAttribute("data-way"), saved[0].id);
    assert.equal(await page.locator(`${at("payment")} ${at("sandbox")}`).count(), 1, "the sheet says that it is a sandbox");
    await stage.picture(buyer, "pay-saved-card-phone-ja");
    assert.deepEqual(await obstacles(page, "light"), [], "the sheet");
    await order(page);
    await phase(page, "paid");
    assert.equal(await page.locator(`${at("purchase-status")} ${at("sandbox")}`).count(), 1, "the end says that it is a sandbox");
    assert.equal((await newest(buyer)).state, "authorized");

    // Removed, it is gone, and the sheet offers a new card.
    await page.goto("/cards");
    await page.click(at("remove-card"));
    await page.click(at("remove-confirm"));
    await page.locator(at("saved-card")).waitFor({ state: "detached" });
    await openSheet(page, live);
    assert.equal(await page.locator(`${at("way")}:checked`).getAttribute("data-way"), "new");
    await end();
  });

  story("a new card pays, and is kept for the next time when asked", "new-card", async (stage) => {
    const { live, end } = await stall(stage, "はじめてのカード");
    const buyer = await stage.person("buyer", { ...DESK, locale: "en-US" }, "viewer");
    const { page } = buyer;
    await openSheet(page, live);
    // By keyboard: from the number to the box that keeps it, to the button.
    await page.focus(at("test-number"));
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type(CARD.works);
    assert.equal(await page.inputValue(at("test-number")), "4242 4242 4242 4242");
    await page.check(at("save-card"));
    await stage.picture(buyer, "pay-new-card-desk-en");
    assert.deepEqual(await obstacles(page, "dark"), [], "the sheet in dark");
    await page.focus(at("place-order"));
    await page.keyboard.press("Enter");
    await phase(page, "paid");
    const [kept] = await waitFor("the card", async () => {
      const { items } = await buyer.api("GET", "/v1/payment-methods");
      return items.length > 0 ? items : null;
    });
    await page.click(at("keep-watching"));
    await page.click(`${at("pin-card")}[data-state="open"] ${at("buy")}`);
    await page.waitForSelector(at("payment"));
    assert.equal(await page.locator(`${at("way")}:checked`).getAttribute("data-way"), kept.id);
    await end();
  });

  story("a bank asks: approved after a reload, and refused", "three-d-secure", async (stage) => {
    const { live, product, end } = await stall(stage, "本人認証");
    const buyer = await stage.person("buyer", PHONE, "viewer");
    const { page } = buyer;
    await openSheet(page, live);
    await typeCard(page, CARD.asks);
    await order(page);
    await phase(page, "action");
    await stage.picture(buyer, "pay-action-phone-ja");
    assert.deepEqual(await obstacles(page, "light"), [], "what the bank asks");

    // The page is closed and opened again: what is left to do is still there.
    await page.reload();
    await page.click(at("pending-open"));
    await phase(page, "action");
    await page.click(at("action-go"));
    await page.waitForSelector(at("sandbox-action"));
    assert.equal((await newest(buyer)).state, "requires_action");
    await page.click(at("approve"));
    await page.waitForURL(/\/purchases\//);
    await phase(page, "paid");
    assert.equal((await newest(buyer)).state, "authorized");
    await stage.picture(buyer, "pay-back-from-bank-phone-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `back from the bank in ${scheme}`);
    await page.click(at("to-live"));
    await page.waitForURL(new RegExp(`/watch/${live.id}`));

    // Refused: nothing is charged, the unit is free again, and the way back leads to another card.
    const clerk = await stage.person("clerk", DESK, "operator");
    const available = async () => (await clerk.api("GET", `/v1/skus/${product.skus[0].id}/stock`)).available;
    const before = await available();
    await openSheet(page, live);
    await typeCard(page, CARD.asks);
    await order(page);
    await phase(page, "action");
    assert.equal(await available(), before - 1, "what the bank is asked about is held");
    await page.click(at("action-go"));
    await page.click(at("refuse"));
    await page.waitForURL(/\/purchases\//);
    await phase(page, "lost");
    assert.equal(await page.locator(at("lost")).getAttribute("data-loss"), "authentication");
    assert.equal((await newest(buyer)).state, "failed");
    await stage.picture(buyer, "pay-refused-phone-ja");
    await waitFor("the unit to be free again", async () => (await available()) === before);

    // Called off by the buyer: no page of a bank is needed for that.
    await openSheet(page, live);
    await typeCard(page, CARD.asks);
    await order(page);
    await phase(page, "action");
    await page.click(at("action-cancel"));
    await phase(page, "lost");
    await waitFor("the purchase to be over", async () => (await newest(buyer)).state === "cancelled");
    await end();
  });

  story("declined, and another card pays", "declined", async (stage) => {
    const { live, end } = await stall(stage, "別のカード", { minutes: 30 });
    const buyer = await stage.person("buyer", PHONE, "viewer");
    const { page } = buyer;
    const keys = new Set();
    page.on("request", (request) => { if (request.method() === "POST" && request.url().endsWith("/v1/purchases")) keys.add(request.headers()["idempotency-key"]); });
    await openSheet(page, live);
    // What takes days is not offered for what ends in minutes.
    assert.equal(await page.locator(`${at("way")}[data-way="sandbox_konbini"]`).count(), 0);
    assert.equal(await page.locator(`${at("way")}[data-way="sandbox_paypay"]`).count(), 1);
    await typeCard(page, CARD.empty);
    await order(page);
    await phase(page, "lost");
    assert.equal(await page.locator(at("lost")).getAttribute("data-loss"), "insufficient");
    assert.match(await page.locator(at("lost")).innerText(), /残高.*請求はされていません/);
    await stage.picture(buyer, "pay-declined-phone-ja");
    assert.deepEqual(await obstacles(page, "dark"), [], "the decline in dark");
    await page.click(at("another-card"));
    await page.waitForSelector(at("test-number"));
    assert.equal(await page.inputValue(at("test-number")), "", "the card that was declined is not offered again");
    await typeCard(page, CARD.works);
    await order(page);
    await phase(page, "paid");
    assert.equal(keys.size, 2, "another card is another wish");
    const states = (await buyer.api("GET", "/v1/purchases")).items.map(({ state }) => state);
    assert.deepEqual(states, ["authorized", "failed"]);
    await end();
  });

  story("an answer is lost, and settled without a second charge", "lost-answer", async (stage) => {
    const { live, end } = await stall(stage, "返事のない銀行");
    const buyer = await stage.person("buyer", PHONE, "viewer");
    const { page } = buyer;
    await openSheet(page, live);
    await typeCard(page, CARD.lost);
    await order(page);
    await phase(page, "checking");
    assert.match(await page.locator(at("checking")).innerText(), /二重に請求されることはありません/);
    await stage.picture(buyer, "pay-checking-phone-ja");
    await phase(page, "paid", 30_000);
    assert.equal((await buyer.api("GET", "/v1/purchases")).items.length, 1);
    await end();
  });

  story("a wallet and a convenience store take the money at once", "wallet", async (stage) => {
    const { live, end } = await stall(stage, "財布とコンビニ");
    const buyer = await stage.person("buyer", PHONE, "viewer");
    const { page } = buyer;
    for (const [method, waiting] of [["sandbox_paypay", "action"], ["sandbox_konbini", "voucher"]]) {
      await openSheet(page, live);
      await page.check(`${at("way")}[data-way="${method}"]`);
      await order(page);
      await phase(page, waiting);
      if (waiting === "voucher") await stage.picture(buyer, "pay-voucher-phone-ja");
      await page.click(at("action-go"));
      await page.click(at("approve"));
      await page.waitForURL(/\/purchases\//);
      await phase(page, "paid");
      assert.equal((await newest(buyer)).state, "captured");
    }
    await end();
  });

  story("sent, refunded in part and in whole, and everybody sees it", "refund", async (stage) => {
    const { brandId, liver, live, title, end } = await stall(stage, "返品の湯呑み");
    const buyer = await stage.person("buyer", PHONE, "viewer");
    const { page } = buyer;
    await openSheet(page, live);
    await page.click(at("qty-plus"));
    await page.locator(`${at("total")}[data-minor="${PRICE * 2}"]`).waitFor();
    await order(page);
    await phase(page, "paid");
    const { order_id: orderId } = await newest(buyer);

    // No invoice before the money is taken.
    await page.goto(`/orders/${orderId}/invoice`);
    await page.waitForSelector(`${at("invoice-page")} .empty`);

    await liver.page.goto(`/studio/${live.id}`);
    await liver.page.locator(at("sales-gross"), { hasText: "9,960" }).waitFor();
    assert.equal(await liver.page.locator(at("sales-refunded")).count(), 0);

    // The brand sends the order, and gives one unit back.
    const brand = await stage.person("brand", DESK, "brand");
    await brand.page.goto(`/brand/${brandId}`);
    await brand.page.click(at("view-orders"));
    const row = brand.page.locator(`${at("brand-order")}[data-order="${orderId}"]`);
    await row.locator(at("ship")).click();
    await brand.page.click(at("ship-confirm"));
    await brand.page.locator(`${at("brand-order")}[data-order="${orderId}"][data-state="fulfilled"]`).waitFor();
    await row.locator(at("refund-open")).click();
    await brand.page.waitForSelector(at("refund-sheet"));
    assert.equal(await brand.page.locator(at("refund-amount")).getAttribute("data-minor"), String(PRICE * 2));
    await brand.page.click(at("units-minus"));
    assert.equal(await brand.page.locator(at("refund-amount")).getAttribute("data-minor"), String(PRICE));
    await brand.page.check(at("restock"));
    await brand.page.fill(at("refund-reason"), "一点が欠けていた");
    await stage.picture(brand, "refund-sheet-desk-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(brand.page, scheme), [], `the refund in ${scheme}`);
    await brand.page.click(at("refund-confirm"));
    const refund = row.locator(`${at("refund")}[data-state="succeeded"]`);
    await refund.waitFor();
    assert.equal(await refund.getAttribute("data-minor"), String(PRICE));
    await stage.picture(brand, "brand-orders-desk-ja");

    // The liver's figure falls, and says why.
    await liver.page.locator(at("sales-gross"), { hasText: "4,980" }).waitFor({ timeout: 15_000 });
    await liver.page.waitForSelector(`${at("sales-refunded")}[data-minor="${PRICE}"]`);
    await liver.page.reload();
    await liver.page.waitForSelector(`${at("sales-refunded")}[data-minor="${PRICE}"]`);
    await liver.page.locator(at("sales-refunded")).scrollIntoViewIfNeeded();
    await stage.picture(liver, "studio-refunded-desk-ja");
    assert.deepEqual(await obstacles(liver.page, "light"), [], "the studio");

    // The brand's report shows it beside the sale.
    await brand.page.click(at("view-report"));
    const line = brand.page.locator(`${at("report-row")}[data-live="${live.id}"][data-net="${PRICE}"]`);
    await line.waitFor({ timeout: 15_000 });

    // The buyer sees it in the list, in the order, and on paper.
    await page.goto("/orders");
    const mine = page.locator(`${at("order-row")}[data-tag="part_refunded"][data-refunded="${PRICE}"]`);
    await mine.waitFor();
    await stage.picture(buyer, "orders-phone-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `the orders in ${scheme}`);
    await fits(page);
    await mine.locator(at("open-order")).click();
    await page.waitForSelector(`${at("order-refunded")}[data-minor="${PRICE}"]`);
    assert.equal(await page.locator(`${at("order-line")}[data-returned="1"]`).count(), 1);
    await stage.picture(buyer, "order-phone-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `the order in ${scheme}`);
    await fits(page);
    await page.click(at("to-invoice"));
    const paper = page.locator(at("invoice"));
    await paper.waitFor();
    assert.equal(await paper.getAttribute("data-total"), String(PRICE * 2));
    assert.match(await paper.innerText(), new RegExp(title));
    assert.equal(await paper.locator(at("sandbox")).count(), 1, "a sample says that it is one");
    const tax = await paper.locator(`${at("paper-rate")}[data-rate="1000"]`).getAttribute("data-tax");
    assert.equal(tax, String(Math.floor((PRICE * 2 * 10) / 110)));
    const credit = page.locator(at("credit-note"));
    assert.equal(await credit.getAttribute("data-total"), String(PRICE));
    assert.equal(await credit.locator(at("paper-line")).count(), 1);
    await page.fill(at("buyer"), "株式会社ものがたり");
    assert.match(await paper.innerText(), /株式会社ものがたり 様/);
    await stage.picture(buyer, "invoice-phone-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `the invoice in ${scheme}`);
    await fits(page);

    // Printed, it is the paper alone: one sheet each, and nothing of the page around it.
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.locator(".site").isVisible(), false);
    assert.equal(await page.locator(at("print")).isVisible(), false);
    const printed = await page.pdf({ preferCSSPageSize: true });
    await writeFile(join(OUTPUT, "invoice.pdf"), printed);
    assert.equal(printed.toString("latin1").match(/\/Type \/Page\b/g)?.length, 2, "an invoice and a credit note");
    await page.emulateMedia({ media: "screen" });

    // What is left is given back too: the order is refunded.
    await brand.page.click(at("view-orders"));
    await row.locator(at("refund-open")).click();
    await brand.page.fill(at("refund-reason"), "残りも返品");
    await brand.page.click(at("refund-confirm"));
    await waitFor("the purchase to be refunded", async () => (await newest(buyer)).state === "refunded");
    await page.goto(`/orders/${orderId}`);
    await page.waitForSelector(`${at("order-tag")}[data-tag="refunded"]`);
    await end();
  });

  story("the operator compares the books", "money", async (stage) => {
    const { brandId, live, end } = await stall(stage, "帳簿");
    const buyer = await stage.person("buyer", DESK, "viewer");
    await buyer.page.goto("/admin/money");
    await buyer.page.waitForSelector(at("gate-operator"));

    // A card to which nothing can be given back.
    await openSheet(buyer.page, live);
    await typeCard(buyer.page, "4000000000005126");
    await order(buyer.page);
    await phase(buyer.page, "paid");
    const { order_id: orderId } = await newest(buyer);
    const brand = await stage.person("brand", DESK, "brand");
    await brand.api("POST", `/v1/orders/${orderId}/fulfilment`, {});
    await brand.page.goto(`/brand/${brandId}?view=orders`);
    const row = brand.page.locator(`${at("brand-order")}[data-order="${orderId}"]`);
    await row.locator(at("refund-open")).click();
    await brand.page.fill(at("refund-reason"), "返品");
    await brand.page.click(at("refund-confirm"));
    await row.locator(`${at("refund")}[data-state="failed"]`).waitFor({ timeout: 30_000 });

    const operator = await stage.person("keeper", DESK, "operator");
    const { page } = operator;
    await page.goto("/admin/money");
    await page.waitForSelector(at("money-page"));
    await page.click(at("run-now"));
    const finding = page.locator(`${at("finding")}[data-kind="refund_failed"]`).first();
    await finding.waitFor({ timeout: 30_000 });
    assert.ok(Number(await page.locator(at("verdict")).getAttribute("data-open")) >= 1);
    assert.ok(Number(await page.locator(`${at("balance")}[data-account="sales"]`).getAttribute("data-minor")) !== 0, "the sales account has moved");
    await stage.picture(operator, "money-desk-ja");
    for (const scheme of ["light", "dark"]) assert.deepEqual(await obstacles(page, scheme), [], `the books in ${scheme}`);
    const open = await page.locator(at("finding")).count();
    await finding.locator(`${at("resolve")}[data-how="accept"]`).click();
    await page.waitForSelector(at("resolve-sheet"));
    await page.fill(at("resolve-note"), "銀行振込で返金した");
    await stage.picture(operator, "money-resolve-desk-ja");
    await page.click(at("resolve-confirm"));
    await page.locator(at("resolve-sheet")).waitFor({ state: "detached" });
    await waitFor("the finding to be resolved", async () => (await page.locator(at("finding")).count()) === open - 1);
    await page.setViewportSize(PHONE.viewport);
    await stage.picture(operator, "money-phone-ja");
    await fits(page);
    await end();
  });
});
