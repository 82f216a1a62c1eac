// Writes openapi-excerpt.json anew: what Stripe's OpenAPI description says of the requests that we make and of the objects
// that come back, as far as it stands in the types of Stripe's own library for Node, which Stripe generates from it.
//
//   cd "$(mktemp -d)" && npm install stripe@22.4.0 typescript@5.9
//   node …/tests/stripe/excerpt.mjs > …/tests/stripe/openapi-excerpt.json

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const ts = createRequire(path.resolve("package.json"))("typescript");
const library = path.resolve("node_modules/stripe");

const ENDPOINTS = {
  "POST /v1/payment_intents": ["PaymentIntents", "PaymentIntentCreateParams"],
  "GET /v1/payment_intents": ["PaymentIntents", "PaymentIntentListParams"],
  "GET /v1/payment_intents/{id}": ["PaymentIntents", "PaymentIntentRetrieveParams"],
  "POST /v1/payment_intents/{id}/capture": ["PaymentIntents", "PaymentIntentCaptureParams"],
  "POST /v1/payment_intents/{id}/cancel": ["PaymentIntents", "PaymentIntentCancelParams"],
  "POST /v1/refunds": ["Refunds", "RefundCreateParams"],
  "GET /v1/refunds": ["Refunds", "RefundListParams"],
  "GET /v1/refunds/{id}": ["Refunds", "RefundRetrieveParams"],
  "POST /v1/customers": ["Customers", "CustomerCreateParams"],
  "POST /v1/setup_intents": ["SetupIntents", "SetupIntentCreateParams"],
  "GET /v1/setup_intents/{id}": ["SetupIntents", "SetupIntentRetrieveParams"],
  "GET /v1/payment_methods/{id}": ["PaymentMethods", "PaymentMethodRetrieveParams"],
  "POST /v1/payment_methods/{id}/detach": ["PaymentMethods", "PaymentMethodDetachParams"],
  "GET /v1/balance_transactions": ["BalanceTransactions", "BalanceTransactionListParams"],
};
const OBJECTS = {
  payment_intent: ["PaymentIntents", "PaymentIntent"],
  charge: ["Charges", "Charge"],
  refund: ["Refunds", "Refund"],
  customer: ["Customers", "Customer"],
  setup_intent: ["SetupIntents", "SetupIntent"],
  payment_method: ["PaymentMethods", "PaymentMethod"],
  balance_transaction: ["BalanceTransactions", "BalanceTransaction"],
  payout: ["Payouts", "Payout"],
};
// Parameters that are described to the bottom; of the others it is only kept that they are objects.
const DEEP = ["payment_method_options", "payment_method_options.card", "metadata", "created", "expand", "payment_method_types"];

const file = (name) => path.join(library, "esm", "resources", `${name}.d.ts`);
const files = [...new Set([...Object.values(ENDPOINTS), ...Object.values(OBJECTS)].map(([name]) => file(name)))];
const program = ts.createProgram(files, {
  strict: true,
  skipLibCheck: true,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  module: ts.ModuleKind.NodeNext,
});
const checker = program.getTypeChecker();

function typeOf([name, type]) {
  const source = program.getSourceFile(file(name));
  const symbol = checker.getExportsOfModule(checker.getSymbolAtLocation(source)).find((found) => found.name === type);
  if (!symbol) throw new Error(`${name} has no ${type}`);
  return checker.getDeclaredTypeOfSymbol(symbol);
}

function described(type, at) {
  const parts = (type.isUnion() ? type.types : [type]).filter(
    (part) => !(part.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) && !(part.isStringLiteral() && part.value === ""),
  );
  const words = parts.filter((part) => part.isStringLiteral()).map((part) => part.value);
  const open = parts.some((part) => part.flags & ts.TypeFlags.String || part.isIntersection());
  if (words.length && !open) return { enum: words.sort() };
  if (words.length) return { enum: words.sort(), open: true };
  if (parts.every((part) => part.flags & ts.TypeFlags.BooleanLike)) return "boolean";
  if (parts.every((part) => part.flags & ts.TypeFlags.NumberLike)) return "integer";
  if (open && !parts.some((part) => part.flags & ts.TypeFlags.Object)) return "string";
  const array = parts.find((part) => checker.isArrayType(part));
  if (array) return [described(checker.getTypeArguments(array)[0], at)];
  if (!DEEP.includes(at)) return "object";
  const whole = parts.find((part) => part.flags & ts.TypeFlags.Object);
  if (checker.getIndexInfosOfType(whole).length) return { "*": "string" };
  return { properties: parameters(whole, at) };
}

function parameters(type, at = "") {
  const found = checker.getPropertiesOfType(type).map((property) => {
    const below = at ? `${at}.${property.name}` : property.name;
    return [property.name, described(checker.getTypeOfSymbol(property), below)];
  });
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function required(type) {
  const must = checker.getPropertiesOfType(type).filter((property) => !(property.flags & ts.SymbolFlags.Optional));
  return must.map((property) => property.name).sort();
}

const text = (name) => readFileSync(path.join(library, name), "utf8").trim();
const excerpt = {
  source: `npm package stripe ${JSON.parse(text("package.json")).version}, files esm/resources/*.d.ts ("File generated from our OpenAPI spec")`,
  openapi: text("OPENAPI_VERSION"),
  api_version: text("esm/apiVersion.js").match(/ApiVersion = '([^']+)'/)[1],
  licence: "MIT, Copyright (C) 2011 Ask Bjørn Hansen, Copyright (C) 2013 Stripe, Inc.",
  written_by: "tests/stripe/excerpt.mjs",
  endpoints: Object.fromEntries(
    Object.entries(ENDPOINTS).map(([endpoint, type]) => [endpoint, { parameters: parameters(typeOf(type)), required: required(typeOf(type)) }]),
  ),
  objects: Object.fromEntries(
    Object.entries(OBJECTS).map(([object, type]) => {
      const fields = checker.getPropertiesOfType(typeOf(type)).map((property) => property.name);
      return [object, { fields: fields.sort(), required: required(typeOf(type)) }];
    }),
  ),
};
console.log(JSON.stringify(excerpt, null, 1));
