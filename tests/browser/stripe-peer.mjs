/**
 * Stands in for Stripe in a browser's story: the part of its interface that our server asks when it is paid by a page, and
 * the part of its script that our page calls. Written from Stripe's documents; Stripe itself is not reached by any test.
 */
import { createServer } from "node:http";

/** The hosts of Stripe's that a page may reach. */
export const HOSTS = { script: "js.stripe.com", bank: "hooks.stripe.com", api: "api.stripe.com" };

/** Typed into the form's frame: what the bank does. */
export const CARDS = { works: "4242424242424242", asks: "4000002760003184" };

export async function startPeer() {
  const intents = new Map();
  const setups = new Map();
  const cards = new Map();
  const asked = [];
  let next = 1;

  const whole = (intent) => ({ ...intent, object: "payment_intent", currency: "jpy", payment_method_types: ["card"], latest_charge: null, payment_method: null });
  const routes = [
    [/^POST \/v1\/customers$/, () => ({ id: `cus_${next++}`, object: "customer" })],
    [/^GET \/v1\/payment_intents$/, () => ({ object: "list", data: [], has_more: false })],
    [/^POST \/v1\/payment_intents$/, (_, form) => {
      const id = `pi_${next++}`;
      const token = form.get("confirmation_token");
      // A saved card was asked when it was saved.
      const asks = token !== null && token.endsWith(CARDS.asks);
      const metadata = Object.fromEntries([...form].filter(([name]) => name.startsWith("metadata[")).map(([name, value]) => [name.slice(9, -1), value]));
      intents.set(id, {
        id, amount: Number(form.get("amount")), amount_received: 0, metadata, client_secret: `${id}_secret_story`, customer: form.get("customer"),
        status: asks ? "requires_action" : "requires_capture", next_action: asks ? { type: "use_stripe_sdk" } : null,
      });
      return whole(intents.get(id));
    }],
    [/^GET \/v1\/payment_intents\/(\w+)$/, ([, id]) => whole(intents.get(id))],
    [/^POST \/v1\/setup_intents$/, (_, form) => {
      const id = `seti_${next++}`;
      setups.set(id, { id, object: "setup_intent", status: "requires_payment_method", customer: form.get("customer"), payment_method: null, client_secret: `${id}_secret_story`, next_action: null });
      return setups.get(id);
    }],
    [/^GET \/v1\/setup_intents\/(\w+)$/, ([, id]) => {
      const setup = setups.get(id);
      return { ...setup, payment_method: cards.get(setup.payment_method) ?? null };
    }],
  ];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { pathname } = new URL(request.url, "http://peer");
    const name = `${request.method} ${pathname}`;
    asked.push({ name, body });
    for (const [pattern, answer] of routes) {
      const match = pattern.exec(name);
      if (match === null) continue;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(answer(match, new URLSearchParams(body))));
      return;
    }
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { type: "invalid_request_error", code: "resource_missing" } }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    asked, intents,
    settings: {
      HANAMICHI_COMMERCE__PAYMENT: "stripe",
      HANAMICHI_COMMERCE__STRIPE__SECRET_KEY: "sk_test_story",
      HANAMICHI_COMMERCE__STRIPE__PUBLISHABLE_KEY: "pk_test_story",
      HANAMICHI_COMMERCE__STRIPE__WEBHOOK_SECRETS: '["whsec_story"]',
      HANAMICHI_COMMERCE__STRIPE__BASE_URL: `http://127.0.0.1:${server.address().port}`,
    },
    /** Answers a page's requests to Stripe's hosts. `script`: whether its script comes. */
    async meet(page, { script }) {
      await page.route(`https://${HOSTS.script}/**`, (route) => {
        if (!script.comes) return route.abort();
        return new URL(route.request().url()).pathname === "/v3/"
          ? route.fulfill({ contentType: "text/javascript", body: SCRIPT })
          : route.fulfill({ contentType: "text/html", body: FORM });
      });
      await page.route(`https://${HOSTS.bank}/**`, (route) => route.fulfill({ contentType: "text/html", body: BANK }));
      await page.route(`https://${HOSTS.api}/**`, (route) => {
        const { done, card } = JSON.parse(route.request().postData());
        const id = done.split("_secret_")[0];
        if (intents.has(id)) Object.assign(intents.get(id), { status: "requires_capture", next_action: null });
        if (setups.has(id)) {
          const customer = setups.get(id).customer;
          cards.set(`pm_${id}`, { id: `pm_${id}`, object: "payment_method", type: "card", customer, card: { brand: "visa", last4: card.slice(-4), exp_month: 12, exp_year: 2034 } });
          Object.assign(setups.get(id), { status: "succeeded", payment_method: `pm_${id}` });
        }
        return route.fulfill({ json: {}, headers: { "access-control-allow-origin": "*" } });
      });
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** In a frame of Stripe's, as the real one: the page around it cannot read what is typed. */
const FORM = `<!doctype html><title>Card</title><label>Card number <input id="number" autocomplete="off"></label>
<script>
  const tell = () => parent.postMessage({ typed: document.getElementById("number").value }, "*");
  document.getElementById("number").addEventListener("input", tell);
  tell();
</script>`;

const BANK = `<!doctype html><title>Bank</title><button id="approve" onclick="parent.postMessage({ approved: true }, '*')">Approve</button>`;

const SCRIPT = `
window.Stripe = (key, { locale }) => {
  let typed = "";
  const listeners = { ready: [], change: [], loaderror: [] };
  addEventListener("message", ({ origin, data }) => {
    if (origin !== "https://js.stripe.com" || data?.typed === undefined) return;
    typed = data.typed;
    for (const listener of listeners.change) listener({ value: { type: "card" } });
  });
  const report = (body) => fetch("https://api.stripe.com/v1/story", { method: "POST", body: JSON.stringify(body) });
  const ask = (options) => ({
    options,
    create: () => ({
      mount: (place) => {
        const frame = document.createElement("iframe");
        frame.title = "Stripe";
        frame.src = "https://js.stripe.com/v3/form.html";
        frame.onload = () => listeners.ready.forEach((listener) => listener({}));
        place.append(frame);
      },
      destroy: () => undefined,
      on: (event, listener) => listeners[event].push(listener),
    }),
    submit: async () => (typed === "" ? { error: { message: "Your card number is incomplete." } } : {}),
    update: (next) => Object.assign(options, next),
  });
  return {
    elements: (options) => {
      window.stripeAsked = { key, locale, options };
      return ask(options);
    },
    createConfirmationToken: async () => ({ confirmationToken: { id: "ctoken_" + Date.now() + "_" + typed } }),
    confirmSetup: async ({ elements }) => {
      await report({ done: elements.options.clientSecret, card: typed });
      return {};
    },
    handleNextAction: ({ clientSecret }) => new Promise((resolve) => {
      const bank = document.createElement("iframe");
      bank.title = "Bank";
      bank.src = "https://hooks.stripe.com/3d_secure";
      bank.style = "position:fixed;inset:20px;z-index:2147483647;background:#fff";
      document.body.append(bank);
      addEventListener("message", async ({ origin, data }) => {
        if (origin !== "https://hooks.stripe.com" || data?.approved !== true) return;
        bank.remove();
        await report({ done: clientSecret });
        resolve({});
      });
    }),
  };
};`;
