/** Who sold what, why it is whose, and what is owed for it: in the running product. Run: npm --prefix web run stories */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe } from "node:test";
import { at, DESK, obstacles, openHouse, PHONE, waitFor } from "./harness.mjs";
import { buy, buyAgain, everyReader, fits, PRICE, stall, value } from "./stall.mjs";

const house = openHouse();
const { story } = house;

describe("reports in the browser", { concurrency: 1 }, () => {
  story("a brand reads what was sold, down to why", "reports", async (stage) => {
    const { brandId, liver, liverId, live, title, offer, end } = await stall(stage, "成果の湯呑み");

    // Three people buy, and one of them gives everything back.
    const { orderId: first } = await buy(stage, "first", offer, 2);
    await buy(stage, "second", offer, 1);
    const { orderId: returned } = await buy(stage, "third", offer, 1);
    const brand = await stage.person("brand", DESK, "brand");
    await brand.api("POST", `/v1/orders/${returned}/refunds`, { restock: true, reason: "割れていた" }, { "idempotency-key": randomUUID() });

    // The figures of this live alone, GMV and net sales beside each other.
    const { page } = brand;
    const mine = `/brand/${brandId}?period=today&live=${live.id}`;
    await page.goto(`${mine}&by=product`);
    await waitFor("the sales and the return", async () => (await value(page, "total-gross")) === PRICE * 4 && (await value(page, "total-net")) === PRICE * 3);
    assert.equal(await value(page, "head-orders"), 3);
    assert.match(await page.locator(at("head-buyers")).innerText(), /10人未満/, "three people are too few to tell");
    await page.waitForSelector(at("time-chart"));

    // What a figure means is a key away, and the server's own words.
    await page.locator(at("means-net")).focus();
    await page.keyboard.press("Enter");
    const { definitions } = await brand.api("GET", `/v1/brands/${brandId}/reports/day`);
    const meaning = definitions.find(({ name }) => /^net(_minor)?$/.test(name)).ja;
    await page.locator('[role="note"]:visible', { hasText: meaning }).waitFor();

    // The lines add up to the row; each says why it is whose.
    const row = page.locator(`${at("report-row")}`, { hasText: title });
    assert.equal(await row.getAttribute("data-net"), String(PRICE * 3));
    await row.locator(at("drill")).click();
    await page.waitForSelector(at("credit-line"));
    const bases = await page.locator(at("credit-line")).evaluateAll((lines) => lines.map((line) => Number(line.dataset.base)));
    assert.equal(bases.length, 4);
    assert.equal(bases.reduce((sum, base) => sum + base, 0), PRICE * 3, "the lines add up to the row");
    await stage.picture(brand, "report-lines-desk-ja");
    await page.locator(at("why")).first().click();
    await page.waitForSelector(`${at("attribution")}[data-owner="${liverId}"]`);
    assert.ok((await page.locator(at("why-words")).innerText()).length > 10);
    assert.equal(await page.locator(`${at("why-step")} .tag.soon`).count(), 1, "one step decides");
    await page.waitForSelector(`${at("recomputed")}[data-good="true"]`);
    for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(page, scheme), [], `the reasons in ${scheme}`);
    await stage.picture(brand, "report-why-desk-ja");
    await page.click(at("back-to-lines"));
    await page.waitForSelector(`${at("credit-line")}:visible`);
    await page.click(at("sheet-close"));

    // The filters stand in the address: narrowed, gone back, and the same after a reload.
    await page.click(at("by-liver"));
    await page.locator(`${at("report-row")}[data-key="${liverId}"] ${at("narrow")}`).click();
    await page.waitForURL(/liver=/);
    await page.waitForSelector(at("filter-liver"));
    await page.reload();
    await page.waitForSelector(at("filter-liver"));
    await page.waitForSelector(`${at("total-net")}[data-value="${PRICE * 3}"]`);
    await page.goBack();
    await page.locator(at("filter-liver")).waitFor({ state: "detached" });
    await page.click(at("period-yesterday"));
    await page.waitForURL(/period=yesterday/);
    await page.waitForSelector(`${at("total-net")}[data-value="0"]`);

    await end();
    await liver.context.close();
    await everyReader(stage, "brand", `/brand/${brandId}?period=today`, `${at("time-chart")}`, "reports");
    const lines = (await brand.api("GET", `/v1/brands/${brandId}/report/lines?live_id=${live.id}`)).items;
    const sale = lines.find(({ order_id: orderId }) => orderId === first);
    await everyReader(stage, "brand", `/brand/${brandId}/lines/${sale.order_line_id}`, at("attribution"), "reports-why");
    await everyReader(stage, "operator", "/admin/reports?period=today", `${at("report-row")}[data-key="${brandId}"]`, "reports-admin");
  });

  story("a brand takes what it sees, and the lines behind it, as files", "files", async (stage) => {
    const { brandId, live, title, offer, end } = await stall(stage, "ファイルの湯呑み");
    await buy(stage, "first", offer, 2);
    await buy(stage, "second", offer, 1);
    await end();
    const brand = await stage.person("brand", DESK, "brand");
    const { page } = brand;
    const mine = `/brand/${brandId}?period=today&live=${live.id}&by=product`;
    await page.goto(mine);
    await waitFor("the sales", async () => (await value(page, "total-net")) === PRICE * 3);
    await page.click(at("to-files"));
    await page.waitForSelector(`${at("files")} .empty`);

    // By keys alone: the lines, as a workbook.
    const taken = async (row) => {
      const [download] = await Promise.all([page.waitForEvent("download"), row.locator(at("file-fetch")).click()]);
      return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
    };
    const made = (table, format) => page.locator(`${at("file")}[data-table="${table}"][data-format="${format}"][data-state="done"]`);
    await page.focus(at("file-what-table"));
    await page.keyboard.press("ArrowDown");
    await page.focus(at("file-format-csv"));
    await page.keyboard.press("ArrowRight");
    assert.deepEqual([await page.isChecked(at("file-what-lines")), await page.isChecked(at("file-format-xlsx"))], [true, true]);
    await page.focus(at("file-make"));
    await page.keyboard.press("Enter");
    const book = made("lines", "xlsx");
    await book.waitFor({ timeout: 20_000 });
    await page.locator(at("file-said"), { hasText: "完成しました" }).waitFor({ state: "attached" });
    assert.deepEqual([await book.getAttribute("data-rows"), await book.getAttribute("data-net")], ["2", String(PRICE * 3)], "a line for each sale, and no other live's");
    const workbook = await taken(book);
    assert.match(workbook.name, /\.xlsx$/);
    assert.equal(workbook.bytes.subarray(0, 4).toString("latin1"), "PK\u0003\u0004", "a workbook is a packed file");

    // The table as it stands on the screen, for any spreadsheet.
    await page.check(at("file-what-table"));
    await page.check(at("file-format-csv"));
    await page.click(at("file-make"));
    const sheet = made("product", "csv");
    await sheet.waitFor({ timeout: 20_000 });
    assert.deepEqual([await sheet.getAttribute("data-rows"), await sheet.getAttribute("data-net")], ["1", String(PRICE * 3)]);
    const csv = await taken(sheet);
    assert.match(csv.name, /\.csv$/);
    const rows = csv.bytes.toString("utf8").trim().split("\r\n");
    assert.ok(rows.length >= 2 && rows[1].includes(title), rows.join("\n"));
    assert.ok(rows[1].split(",").includes(String(PRICE * 3)), "the row's net sales are those of the screen");
    await page.reload();
    await made("product", "csv").waitFor();
    assert.match(await made("product", "csv").innerText(), /ファイルの湯呑み/, "which live it is of is still known");
    await everyReader(stage, "brand", mine, at("file"), "reports-files");
  });

  story("a live is read minute by minute, and beside those before it", "timeline", async (stage) => {
    const { brandId, live, offer, end } = await stall(stage, "分ごとの湯呑み");
    // Somebody watches, taps and buys, says something and asks.
    const { buyer } = await buy(stage, "buyer", offer, 2, PHONE);
    await buyer.page.goto(`/watch/${live.id}`);
    await buyer.page.waitForSelector(`${at("pin-card")}[data-state="open"]`);
    await buyer.page.fill(at("composer-input"), "きれいな色ですね");
    await buyer.page.click(at("composer-send"));
    await buyer.page.click(`${at("pin-card")} ${at("buy")}`);
    await buyer.page.waitForSelector(at("confirmation"));
    await buy(stage, "second", offer, 1);
    await waitFor("somebody to have watched", async () => (await buyer.api("GET", `/v1/lives/${live.id}`)).viewers > 0);
    await buyer.context.close();
    await end();

    const brand = await stage.person("brand", DESK, "brand");
    const { page } = brand;
    // Which minute sold: the slider moves by keys, and the table has every minute.
    await page.goto(`/brand/${brandId}/lives/${live.id}`);
    await page.waitForSelector(at("best-minute"));
    await waitFor("the minutes", async () => {
      const grosses = await page.locator(at("minute-row")).evaluateAll((rows) => rows.map((one) => Number(one.dataset.gross)));
      return grosses.reduce((sum, gross) => sum + gross, 0) === PRICE * 3;
    });
    assert.ok((await value(page, "best-minute", "data-gross")) > 0);
    assert.equal(await value(page, "sum-gross"), PRICE * 3);
    await page.waitForSelector(at("lane"));
    await page.locator(at("minute-slider")).focus();
    await page.keyboard.press("Home");
    await page.waitForSelector(at("minute"));
    assert.match(await page.getAttribute(at("minute-slider"), "aria-valuetext"), /\d\d?:\d\d/);

    await everyReader(stage, "brand", `/brand/${brandId}/lives/${live.id}`, at("best-minute"), "reports-timeline");
    await everyReader(stage, "brand", `/brand/${brandId}?period=today&view=lives`, at("audience-row"), "reports-lives");
  });

  story("a brand and a liver agree on terms, and what is earned is read by both", "terms", async (stage) => {
    const { brandId, liver, liverId, live, offer, end } = await stall(stage, "契約の湯呑み");
    const brand = await stage.person("brand", DESK, "brand");
    const { page } = brand;
    await page.goto(`/brand/${brandId}?view=contracts`);
    await page.click(at("new-contract"));
    await page.fill(at("contract-liver"), liverId);
    await page.fill(at("term-field-rate"), "15");
    await page.fill(at("term-field-payDays"), "61");
    await page.click(at("terms-send"));
    assert.match(await page.locator(at("terms-problem")).innerText(), /支払期限/, "the law's sixty days");
    await page.fill(at("term-field-payDays"), "45");
    await page.fill(at("term-field-note"), "初回");
    for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(page, scheme), [], `the proposal in ${scheme}`);
    await page.click(at("terms-send"));
    await page.waitForURL(/\/contracts\//);
    await page.waitForSelector(`${at("proposed-terms")}[data-turn="withdraw"]`);
    const path = new URL(page.url()).pathname;

    // The liver reads it among the contracts, and accepts.
    await liver.page.goto("/earnings?view=contracts");
    await liver.page.locator(`${at("contract")}[data-turn="answer"] ${at("open-contract")}`).click();
    await liver.page.waitForSelector(`${at("proposed-terms")}[data-turn="answer"]`);
    await liver.page.click(at("accept"));
    await liver.page.click(at("answer-confirm"));
    await liver.page.locator(at("proposed-terms")).waitFor({ state: "detached" });
    assert.match(await liver.page.locator(`${at("current-terms")} ${at("term-rate_bp")}`).innerText(), /15%/);

    // Other terms are shown by what they change.
    await liver.page.click(at("counter"));
    await liver.page.fill(at("term-field-rate"), "18.5");
    await liver.page.click(at("terms-send"));
    await page.goto(path);
    await page.waitForSelector(`${at("proposed-terms")} ${at("term-rate_bp")}[data-changed="true"]`);
    assert.equal(await page.locator(`${at("proposed-terms")} ${at("term-pay_within_days")}`).getAttribute("data-changed"), "false");
    await everyReader(stage, "brand", path, at("proposed-terms"), "contract");
    await page.click(at("decline"));
    await page.click(at("answer-confirm"));
    await page.locator(at("proposed-terms")).waitFor({ state: "detached" });
    assert.equal(await page.locator(`${at("contract-version")}[data-state="ended"]`).count(), 1);
    await everyReader(stage, "brand", `/brand/${brandId}?view=contracts`, at("contract"), "contracts");

    // A sale of the agreed rate is on the liver's page at once, the return that follows too.
    await liver.page.goto("/earnings?period=today");
    const earned = liver.page.locator(`${at("earnings-row")}[data-key="${live.id}"]`);
    const { orderId } = await buy(stage, "buyer", offer, 2);
    await waitFor("the sale among the earnings", async () => (await earned.count()) === 1 && Number(await earned.getAttribute("data-commission")) > 0);
    await earned.locator(at("drill")).click();
    await liver.page.waitForSelector(at("credit-line"));
    await liver.page.click(at("sheet-close"));
    await everyReader(stage, "liver", "/earnings?period=today", at("earnings-row"), "earnings");

    // Where it is paid to; what is wrong is named, what is right is kept.
    await liver.page.goto("/earnings?view=payee");
    const account = { name_kana: "ハナムラ サクラ", bank_code: "0001", branch_code: "123", account_number: "12345", holder_kana: "はなむら さくら" };
    for (const [name, text] of Object.entries(account)) await liver.page.fill(at(`payee-${name}`), text);
    await liver.page.fill(at("payee-registration"), "T12");
    await liver.page.click(at("payee-save"));
    assert.match(await liver.page.locator(at("payee-problem")).innerText(), /登録番号/);
    await liver.page.fill(at("payee-registration"), "");
    await liver.page.click(at("payee-save"));
    await liver.page.waitForSelector(`${at("payee-form")}[data-saved="true"]`);
    await liver.page.reload();
    await waitFor("the account that was kept", async () => (await liver.page.inputValue(at("payee-account_number"))) === "0012345");
    assert.equal(await liver.page.inputValue(at("payee-holder_kana")), "ハナムラ サクラ");
    await everyReader(stage, "liver", "/earnings?view=payee", at("payee-form"), "payee");
    await everyReader(stage, "liver", "/earnings?view=statements", at("my-statements"), "my-statements");

    // What the month comes to so far; it cannot be closed before it is over.
    await brand.api("POST", `/v1/orders/${orderId}/fulfilment`, {});
    const month = new Date(Date.now() + 9 * 3_600_000).toISOString().slice(0, 7);
    await page.goto(`/brand/${brandId}?view=statements&month=${month}`);
    await page.waitForSelector(`${at("preview")} ${at("statement-row")}[data-liver="${liverId}"]`);
    assert.equal(await page.locator(at("close-month")).isDisabled(), true);
    await everyReader(stage, "brand", `/brand/${brandId}?view=statements&month=${month}`, at("preview"), "statements");
    await end();
  });

  story("how somebody came is asked for, can be taken back, and staff are named", "consent", async (stage) => {
    const { brandId, liver, live, offer, end } = await stall(stage, "きっかけの湯呑み");
    // A member of a store's staff has a code to hold out.
    const operator = await stage.person("owner", DESK, "operator");
    const store = (await operator.api("GET", "/v1/locations")).items.find(({ kind }) => kind === "store");
    const credentials = { email: `${randomUUID()}@story.test`, password: "a story's password" };
    await operator.api("POST", `/v1/locations/${store.id}/staff`, { ...credentials, display_name: "店の鈴木" });
    const clerk = await stage.person("clerk", PHONE);
    await clerk.api("POST", "/v1/sign-in", credentials);
    await clerk.page.goto("/staff");
    await clerk.page.click(at("make-staff-code"));
    const code = await clerk.page.locator(at("staff-code")).getAttribute("data-code");
    for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(clerk.page, scheme), [], `the code in ${scheme}`);
    await fits(clerk.page, "the code");
    await stage.picture(clerk, "staff-code-phone-ja");

    // A link that is counted, made at the desk.
    await liver.page.goto(`/studio/${live.id}`);
    await liver.page.click(at("share"));
    await liver.page.fill(at("share-campaign"), "instagram");
    await liver.page.click(at("share-make"));
    const via = await liver.page.locator(at("share-link")).first().getAttribute("data-code");
    await stage.picture(liver, "share-links-desk-ja");

    // Somebody comes by both. The staff code is taken at once; the link waits for an answer.
    const visitor = await stage.person("visitor", PHONE);
    const { page } = visitor;
    await visitor.api("POST", "/v1/sign-up", { email: `${randomUUID()}@story.test`, password: "a story's password", display_name: "通りがかり" });
    const sent = [];
    page.on("request", (request) => { if (request.url().endsWith("/v1/touches")) sent.push(JSON.parse(request.postData()).kind); });
    await page.goto(`/watch/${live.id}?via=${via}&staff=${code}`);
    await page.locator(at("toasts"), { hasText: "店の鈴木" }).waitFor();
    await page.waitForSelector(at("consent"));
    assert.deepEqual(sent, ["staff_code"]);
    const [yes, no] = await Promise.all(["consent-yes", "consent-no"].map((id) => page.locator(at(id)).boundingBox()));
    assert.ok(Math.abs(yes.width - no.width) < 1 && Math.abs(yes.height - no.height) < 1, "yes and no are as large");
    for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(page, scheme), [], `the question in ${scheme}`);
    await stage.picture(visitor, "consent-phone-ja");
    await page.click(at("consent-yes"));
    await page.locator(at("consent")).waitFor({ state: "detached" });
    await waitFor("the link to be told", () => sent.includes("link"));

    // What is noted can be read, and taken back.
    await page.goto("/consents");
    await page.waitForSelector(`${at("consent-state")}[data-given="true"]`);
    await page.click(at("consent-no"));
    await page.waitForSelector(`${at("consent-state")}[data-given="false"]`);
    await page.click(at("language"));
    for (const scheme of ["dark", "light"]) assert.deepEqual(await obstacles(page, scheme), [], `what is noted in ${scheme}`);
    await fits(page, "what is noted");
    await stage.picture(visitor, "consents-phone-en");
    await page.goto(`/watch/${live.id}`);
    await page.waitForSelector(`${at("pin-card")}[data-state="open"]`);
    assert.equal(await page.locator(at("consent")).count(), 0, "asked once");

    // What the visitor buys is the staff's too, in a pool of its own.
    await buyAgain(visitor, offer, 1);
    const brand = await stage.person("brand", DESK, "brand");
    await brand.page.goto(`/brand/${brandId}?period=today&by=staff`);
    const row = brand.page.locator(at("report-row"), { hasText: "店の鈴木" });
    await row.waitFor({ timeout: 15_000 });
    assert.equal(await row.getAttribute("data-net"), String(PRICE));
    await stage.picture(brand, "reports-staff-desk-ja");
    await end();
  });
});
