import {
  create, fromBinary, fromJsonString, toBinary, toJson, type DescMessage, type JsonValue, type Message,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { describe, expect, it } from "vitest";
import { CODECS } from "../src/hub/codec";
import { ClientFrameSchema, ServerFrameSchema } from "../src/hub/gen/hanamichi/v1/hub_pb";

const texts = import.meta.glob<string>("../../proto/examples/*.json", { query: "?raw", import: "default", eager: true });
const bytes = import.meta.glob<string>("../../proto/examples/*.hex", { query: "?raw", import: "default", eager: true });

const examples = Object.entries(texts).map(([path, text]) => {
  const name = /([^/]+)\.json$/.exec(path)?.[1] ?? path;
  return { name, text, hex: bytes[path.replace(/\.json$/, ".hex")], schema: (name.startsWith("client-") ? ClientFrameSchema : ServerFrameSchema) as DescMessage };
});

const toHex = (data: Uint8Array): string => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const fromHex = (hex: string): Uint8Array<ArrayBuffer> => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** Every field that is set somewhere in the message, as `Message.field`. */
function fieldsOf(message: ReflectMessage): string[] {
  return message.fields.filter((field) => message.isSet(field)).flatMap((field) => {
    const own = `${message.desc.name}.${field.localName}`;
    if (field.fieldKind === "message") return [own, ...fieldsOf(message.get(field) as ReflectMessage)];
    if (field.fieldKind === "list" && field.listKind === "message") {
      return [own, ...[...(message.get(field) as Iterable<ReflectMessage>)].flatMap(fieldsOf)];
    }
    return [own];
  });
}

/** Every field of the contract that can be reached from a frame. */
function fieldsIn(desc: DescMessage, seen = new Set<string>()): Set<string> {
  for (const field of desc.fields) {
    const own = `${desc.name}.${field.localName}`;
    if (seen.has(own)) continue;
    seen.add(own);
    if (field.message !== undefined) fieldsIn(field.message, seen);
  }
  return seen;
}

describe("the contract's examples", () => {
  it.each(examples)("$name means the same in both codecs", async ({ text, hex, schema }) => {
    const message = fromJsonString(schema, text) as Message;
    expect(toJson(schema, message), "canonical JSON").toEqual(JSON.parse(text) as JsonValue);
    const written = toHex(toBinary(schema, message));
    // A new example's bytes are written beside it; looked at and committed, they stand. `vitest run -u` writes them anew.
    await expect(`${written}\n`).toMatchFileSnapshot(`../../proto/examples/${examples.find((example) => example.text === text)?.name}.hex`);
    expect(hex, "its bytes were missing and are written now").toBeDefined();
    expect(fromBinary(schema, fromHex((hex ?? "").trim()))).toEqual(message);
  });

  it.each(examples.filter(({ schema }) => schema === ServerFrameSchema))("$name is understood by the client, alike in both codecs", ({ text, hex }) => {
    const frame = CODECS.json.decode(text);
    expect(frame).not.toBeNull();
    expect(CODECS.proto.decode(fromHex((hex ?? "").trim()).buffer)).toEqual(frame);
  });

  it("use every field of the contract, and so every case of every oneof", () => {
    const used = new Set(examples.flatMap(({ text, schema }) => fieldsOf(reflect(schema, fromJsonString(schema, text) as Message))));
    const all = [...fieldsIn(ServerFrameSchema, fieldsIn(ClientFrameSchema))];
    expect(all.length).toBeGreaterThan(100);
    expect(all.filter((field) => !used.has(field))).toEqual([]);
  });

  it("have no bytes without a text", () => {
    expect(Object.keys(bytes).filter((path) => texts[path.replace(/\.hex$/, ".json")] === undefined)).toEqual([]);
    expect(create(ServerFrameSchema).body.case).toBeUndefined();
  });
});
