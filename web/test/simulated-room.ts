/**
 * A room as a server keeps it, with everything that may go wrong on the way to one client: lines that are cut with frames in
 * flight, state that comes again, snapshots instead of the log, without chat for the slow, and new epochs.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChatMessageSchema, OrderedSchema, StateSchema } from "../src/hub/gen/hanamichi/v1/hub_pb";
import type { Said } from "./fakes";

type Snapshot = Extract<Said, { case: "snapshot" }>["value"];
type Ordered = MessageInitShape<typeof OrderedSchema>;
type State = MessageInitShape<typeof StateSchema>;
type Chat = MessageInitShape<typeof ChatMessageSchema>;

type Entry = { ordered: Ordered } | { state: State } | { chat: Chat };

export interface Listener {
  say: (body: Said) => void;
}

interface PinTruth { id: string; version: number; price: number; at: number }
interface QuestionTruth { id: string; votes: number; state: string; version: number; mergedInto: string }

const SNAPSHOT_CHAT = 50;

export class SimulatedRoom {
  epoch = 1;
  seq = 0;
  /** Whatever was told in this epoch, from `logFrom` on. */
  log: { entry: Entry; seqAfter: number; nth: number }[] = [];
  #logged = 0;
  /** What lies before the last snapshot is not told again: only what somebody has been told comes twice. */
  #snapshotAt = 0;
  /** The first position that the log can go on from. */
  logFrom = 0;

  title = 1;
  pins: PinTruth[] = [];
  stock = new Map<string, { available: number; version: number }>();
  left = new Map<string, { left: number; version: number }>();
  questions: QuestionTruth[] = [];
  viewers = { count: 0, version: 0 };
  hearts = 0;
  chat: string[] = [];
  rules = { slow: 0, followers: false, version: 1 };
  pinned: { id: string | null; version: number } = { id: null, version: 0 };

  #made = 0;
  #pending: Entry[] = [];
  listener: Listener | null = null;
  /** The position that the listener has reached, as the server would write it into an event's id. */
  toldSeq = 0;
  /** What an attentive listener shows, by the contract's words alone. */
  shown: string[] = [];
  #heardDeleted = new Set<string>();

  // ---- what happens in the room

  pin(price: number): void {
    const pin = { id: `pin_${++this.#made}`, version: 1, price, at: this.#made };
    this.pins.unshift(pin);
    this.#order({ case: "pinned", value: wirePin(pin) });
  }

  reprice(nth: number, price: number): void {
    const pin = at(this.pins, nth);
    if (pin === undefined) return;
    pin.version += 1;
    pin.price = price;
    this.#order({ case: "pinned", value: wirePin(pin) });
  }

  unpin(nth: number): void {
    const pin = at(this.pins, nth);
    if (pin === undefined) return;
    this.pins = this.pins.filter((other) => other !== pin);
    this.#order({ case: "unpinned", value: { pinId: pin.id, version: BigInt(pin.version + 1) } });
  }

  sell(sku: string, available: number): void {
    const stock = { available, version: (this.stock.get(sku)?.version ?? 0) + 1 };
    this.stock.set(sku, stock);
    const value = { skuId: sku, available: BigInt(available), version: BigInt(stock.version) };
    if (available === 0) this.#order({ case: "soldOut", value });
    else this.#tell({ state: { value: { case: "stock", value } } });
  }

  spend(offer: string, left: number): void {
    const known = { left, version: (this.left.get(offer)?.version ?? 0) + 1 };
    this.left.set(offer, known);
    this.#tell({ state: { value: { case: "offerLeft", value: { offerId: offer, left: BigInt(left), version: BigInt(known.version) } } } });
  }

  ask(): void {
    const question = { id: `qst_${++this.#made}`, votes: 0, state: "open", version: 1, mergedInto: "" };
    this.questions.push(question);
    this.#tell({ state: { value: { case: "question", value: wireQuestion(question) } } });
  }

  vote(nth: number): void {
    const question = at(this.questions, nth);
    if (question === undefined) return;
    question.votes += 1;
    question.version += 1;
    this.#tell({ state: { value: { case: "question", value: wireQuestion(question) } } });
  }

  move(nth: number, state: string): void {
    const question = at(this.questions, nth);
    if (question === undefined || question.state === "merged") return;
    question.state = state;
    question.version += 1;
    this.#order({ case: "questionChanged", value: wireQuestion(question) });
  }

  merge(nth: number, into: number): void {
    const [question, target] = [at(this.questions, nth), at(this.questions, into)];
    if (question === undefined || target === undefined || question === target || question.mergedInto !== "" || target.mergedInto !== "") return;
    question.state = "merged";
    question.mergedInto = target.id;
    question.version += 1;
    target.votes += question.votes;
    target.version += 1;
    this.#order({ case: "questionChanged", value: wireQuestion(question) });
    this.#tell({ state: { value: { case: "question", value: wireQuestion(target) } } });
  }

  say(): void {
    const id = `msg_${++this.#made}`;
    this.chat.push(id);
    this.#tell({ chat: wireChat(id) });
  }

  deleteLine(nth: number): void {
    const id = at(this.chat, nth);
    if (id === undefined) return;
    this.chat = this.chat.filter((line) => line !== id);
    if (this.pinned.id === id) this.pinned = { id: null, version: this.pinned.version + 1 };
    this.#order({ case: "chatDeleted", value: { chatId: id } });
  }

  pinLine(nth: number | null): void {
    this.pinned = { id: nth === null ? null : (at(this.chat, nth) ?? null), version: this.pinned.version + 1 };
    this.#order({ case: "chatPinned", value: this.#wirePinned() });
  }

  setRules(slow: number, followers: boolean): void {
    this.rules = { slow, followers, version: this.rules.version + 1 };
    this.#order({ case: "chatRulesChanged", value: this.#wireRules() });
  }

  rename(): void {
    this.title += 1;
    this.#order({ case: "liveChanged", value: this.#wireLive() });
  }

  count(viewers: number): void {
    this.viewers = { count: viewers, version: this.viewers.version + 1 };
    this.#tell({ state: { value: { case: "viewers", value: { viewers, version: BigInt(this.viewers.version) } } } });
  }

  heart(): void {
    this.hearts += 1;
    this.#tell({ state: { value: { case: "reactions", value: { kind: "heart", total: BigInt(this.hearts) } } } });
  }

  // ---- what may go wrong

  /** One batch with whatever waits. */
  flush(): void {
    if (this.listener === null || this.#pending.length === 0) return;
    this.#deliver(this.#pending.splice(0));
  }

  /** What was told before comes again: all of the last entries, whatever they were. */
  repeat(entries: number): void {
    this.flush();
    if (this.listener !== null) this.#deliver(this.#told(this.log.slice(-entries)));
  }

  snapshot(lean: boolean): void {
    if (this.listener === null) return;
    this.#pending = [];
    this.#sayPosition(this.#snapshot(lean), this.seq);
    this.#snapshotAt = this.#logged;
    if (!lean) {
      this.shown = this.chat.slice(-SNAPSHOT_CHAT);
    } else this.shown = this.shown.filter((id) => !this.#heardDeleted.has(id));
  }

  /** The frames in flight are lost with the line. */
  cut(): void {
    this.#pending = [];
    this.listener = null;
  }

  forget(entries: number): void {
    const dropped = this.log.splice(0, Math.min(entries, this.log.length)).at(-1);
    if (dropped === undefined) return;
    // Whoever stands at an event needs everything behind it.
    this.logFrom = "ordered" in dropped.entry ? dropped.seqAfter : dropped.seqAfter + 1;
  }

  restart(): void {
    this.cut();
    this.epoch += 1;
    this.seq = 0;
    this.log = [];
    this.logFrom = 0;
  }

  /** `overlap`: how many entries before the position come again. */
  join(listener: Listener, epoch: string, seq: number, overlap: number): void {
    this.listener = listener;
    this.#pending = [];
    if (epoch !== `e${this.epoch}` || seq < this.logFrom || seq > this.seq) {
      // Tombstones are of a log; a new one does not bring the old lines again.
      this.snapshot(false);
      return;
    }
    this.#sayPosition({ case: "resumed", value: { epoch, seq: BigInt(seq), serverAtMs: 1n } }, seq);
    // After the ordered event with this number; state and chat behind it may have been seen or not.
    const from = this.log.findIndex(({ entry, seqAfter }) => "ordered" in entry && seqAfter === seq) + 1;
    const replay = this.#told(this.log.slice(Math.max(0, from - overlap)));
    if (replay.length > 0) this.#deliver(replay);
  }

  #told(entries: { entry: Entry; nth: number }[]): Entry[] {
    return entries.filter(({ nth }) => nth >= this.#snapshotAt).map(({ entry }) => entry);
  }

  #order(event: NonNullable<Ordered["event"]>): void {
    this.seq += 1;
    this.#tell({ ordered: { seq: BigInt(this.seq), atMs: 1n, event } });
  }

  #tell(entry: Entry): void {
    this.log.push({ entry, seqAfter: this.seq, nth: this.#logged++ });
    if (this.listener !== null) this.#pending.push(entry);
  }

  /** In the log's order; a batch has ordered before state before chat, so a change of kind backwards begins a new one. */
  #deliver(entries: readonly Entry[]): void {
    let batch: { ordered: Ordered[]; state: State[]; chat: Chat[] } = { ordered: [], state: [], chat: [] };
    const send = (): void => {
      if (batch.ordered.length + batch.state.length + batch.chat.length === 0) return;
      this.#sayPosition({ case: "batch", value: { epoch: `e${this.epoch}`, ...batch } }, Number(batch.ordered.at(-1)?.seq ?? 0n));
      batch = { ordered: [], state: [], chat: [] };
    };
    for (const entry of entries) {
      if ("ordered" in entry) {
        if (batch.state.length + batch.chat.length > 0) send();
        batch.ordered.push(entry.ordered);
        const event = entry.ordered.event;
        if (event?.case === "chatDeleted") {
          const id = event.value.chatId ?? "";
          this.#heardDeleted.add(id);
          this.shown = this.shown.filter((line) => line !== id);
        }
      } else if ("state" in entry) {
        batch.state.push(entry.state);
      } else {
        batch.chat.push(entry.chat);
        const id = entry.chat.id ?? "";
        if (!this.shown.includes(id) && !this.#heardDeleted.has(id)) this.shown.push(id);
      }
    }
    send();
  }

  #sayPosition(body: Said, seq: number): void {
    this.toldSeq = body.case === "snapshot" || body.case === "resumed" ? seq : Math.max(this.toldSeq, seq);
    this.listener?.say(body);
  }

  #snapshot(lean: boolean): Said {
    const value: Snapshot = {
      epoch: `e${this.epoch}`, seq: BigInt(this.seq), serverAtMs: 1n, live: this.#wireLive(), pins: this.pins.map(wirePin),
      questions: this.questions.filter((question) => !["hidden", "merged"].includes(question.state)).map(wireQuestion),
      stock: [...this.stock].map(([skuId, known]) => ({ skuId, available: BigInt(known.available), version: BigInt(known.version) })),
      offersLeft: [...this.left].map(([offerId, known]) => ({ offerId, left: BigInt(known.left), version: BigInt(known.version) })),
      viewers: this.viewers.count, reactions: [{ kind: "heart", total: BigInt(this.hearts) }],
      chat: lean ? [] : this.chat.slice(-SNAPSHOT_CHAT).map(wireChat), chatOmitted: lean, chatRules: this.#wireRules(),
      ...(this.pinned.id === null ? {} : { chatPinned: this.#wirePinned() }),
    };
    return { case: "snapshot", value };
  }

  #wireLive() {
    return { id: "live_1", title: `t${this.title}`, state: "live", version: BigInt(this.title) };
  }

  #wireRules() {
    return { slowModeS: this.rules.slow, followersOnly: this.rules.followers, version: BigInt(this.rules.version) };
  }

  #wirePinned() {
    return { ...(this.pinned.id === null ? {} : { message: wireChat(this.pinned.id) }), version: BigInt(this.pinned.version) };
  }
}

function at<T>(list: readonly T[], nth: number): T | undefined {
  return list.length === 0 ? undefined : list[nth % list.length];
}

function wirePin(pin: PinTruth) {
  return {
    id: pin.id, version: BigInt(pin.version), pinnedAtMs: BigInt(pin.at), product: { id: `prd_${pin.id}` },
    offers: [{ id: `ofr_${pin.id}`, priceMinor: BigInt(pin.price), version: BigInt(pin.version) }],
  };
}

function wireQuestion(question: QuestionTruth) {
  return { id: question.id, votes: question.votes, state: question.state, version: BigInt(question.version), mergedInto: question.mergedInto };
}

function wireChat(id: string) {
  return { id, text: id, authorRole: "viewer" };
}
