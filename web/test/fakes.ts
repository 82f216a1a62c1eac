/** The server's ends of what a client opens: what it said, and a mouth to answer with. */
import { create, fromBinary, fromJsonString, toBinary, toJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import { ClientFrameSchema, ServerFrameSchema, type ClientFrame, type ServerFrame } from "../src/hub/gen/hanamichi/v1/hub_pb";

export type Said = NonNullable<MessageInitShape<typeof ServerFrameSchema>["body"]>;

const frameOf = (body: Said): ServerFrame => create(ServerFrameSchema, { body });

export class FakeSocket {
  readyState = 0;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer | string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly heard: ClientFrame[] = [];

  constructor(readonly url: string, readonly protocols: string[]) {}

  get #json(): boolean {
    return this.protocols[0] === "hanamichi.v1.json";
  }

  send(data: Uint8Array | string): void {
    if (this.readyState !== 1) throw new Error("InvalidStateError");
    this.heard.push(typeof data === "string" ? fromJsonString(ClientFrameSchema, data) : fromBinary(ClientFrameSchema, data));
  }

  close(): void {
    this.readyState = 3;
  }

  get closed(): boolean {
    return this.readyState === 3;
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(body: Said): void {
    if (this.closed) return;
    const frame = frameOf(body);
    const data = this.#json ? toJsonString(ServerFrameSchema, frame) : toBinary(ServerFrameSchema, frame).slice().buffer as ArrayBuffer;
    this.onmessage?.({ data });
  }

  raw(data: ArrayBuffer | string): void {
    this.onmessage?.({ data });
  }

  snapshot(epoch: string, seq: number): void {
    this.say({ case: "snapshot", value: { epoch, seq: BigInt(seq), serverAtMs: BigInt(Date.now()) } });
  }

  drop(code = 1006): void {
    if (this.closed) return;
    this.readyState = 3;
    this.onclose?.({ code });
  }

  get resume(): { epoch: string; seq: number } | null {
    const body = this.heard[0]?.body;
    return body?.case === "resume" ? { epoch: body.value.epoch, seq: Number(body.value.seq) } : null;
  }

  heardOf<K extends NonNullable<ClientFrame["body"]["case"]>>(kind: K): ClientFrame[] {
    return this.heard.filter((frame) => frame.body.case === kind);
  }
}

export class FakeEvents {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor(readonly url: string) {}

  close(): void {
    this.readyState = 2;
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(body: Said): void {
    if (this.readyState !== 2) this.onmessage?.({ data: toJsonString(ServerFrameSchema, frameOf(body)) });
  }

  /** The browser tries again by itself. */
  stumble(): void {
    this.readyState = 0;
    this.onerror?.();
  }

  refuse(): void {
    this.readyState = 2;
    this.onerror?.();
  }
}
