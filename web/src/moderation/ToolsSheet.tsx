import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { BanAlso, Subject } from "../api/moderation";
import type { ChatMessage, Question } from "../hub/model";
import type { Room } from "../hub/room";
import { count } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { Icon, type IconName } from "../ui/icons";
import { Sheet } from "../ui/Sheet";
import { words } from "../ui/words";
import { inOrder } from "../pages/watch/question-order";
import { acts, SHORT_MUTE_S } from "./acts";
import { text } from "./texts";
import "./tools.css";

export type Target = { kind: "line"; line: ChatMessage } | { kind: "question"; question: Question };

interface ToolsSheetProps {
  liveId: string;
  room: ReadonlySignal<Room>;
  target: Target;
  onClose: () => void;
}

type Step = "list" | "ban" | "merge" | "product";

/** Everything that can be done about one line or question, one decision a step. */
export function ToolsSheet({ liveId, room, target, onClose }: ToolsSheetProps): JSX.Element {
  const [step, setStep] = useState<Step>("list");
  const [busy, setBusy] = useState(false);
  const said = target.kind === "line" ? target.line : target.question;
  const subject: Subject = target.kind === "line" ? { chat_id: said.id } : { question_id: said.id };
  const name = said.authorName;
  const run = (deed: () => Promise<boolean>): void => {
    setBusy(true);
    void deed().then((done) => {
      setBusy(false);
      if (done) onClose();
    });
  };
  const item = (icon: IconName, label: string, testId: string, onClick: () => void, danger = false): JSX.Element => (
    <li><button type="button" class={danger ? "tool danger" : "tool"} disabled={busy} data-testid={testId} onClick={onClick}><Icon name={icon} />{label}</button></li>
  );
  const people = (): JSX.Element => (
    <>
      {item("hush", text.mute_short, "tool-mute", () => run(() => acts.mute(liveId, subject, name, SHORT_MUTE_S)))}
      {item("hush", text.mute_live, "tool-mute-live", () => run(() => acts.mute(liveId, subject, name)))}
      {item("ban", text.ban, "tool-ban", () => setStep("ban"), true)}
    </>
  );

  if (step === "ban") {
    return <BanStep name={name} busy={busy} onBack={() => setStep("list")} onClose={onClose} onBan={(also) => run(() => acts.ban(liveId, subject, name, also))} />;
  }
  if (target.kind === "question" && step === "merge") {
    return <MergeStep room={room} question={target.question} busy={busy} onBack={() => setStep("list")} onClose={onClose}
      onMerge={(into) => run(() => acts.merge(said.id, into))} />;
  }
  if (target.kind === "question" && step === "product") {
    const before = target.question.productId === "" ? null : target.question.productId;
    return (
      <Sheet title={text.product_title} onClose={onClose} testId="tools-sheet">
        <ul class="tools">
          {room.value.pins.map((pin) => (
            <li key={pin.id}><button type="button" class="tool" disabled={busy || pin.product.id === before} data-testid="tool-product"
              onClick={() => run(() => acts.setProduct(said.id, pin.product.id, before))}><Icon name="bag" />{pin.product.title}</button></li>
          ))}
          {before !== null && item("close", text.product_none, "tool-no-product", () => run(() => acts.setProduct(said.id, null, before)))}
          {item("back", text.back, "tool-back", () => setStep("list"))}
        </ul>
      </Sheet>
    );
  }
  const pinned = room.value.chatPinned.message?.id ?? null;
  return (
    <Sheet title={target.kind === "line" ? text.title_line : text.title_question} onClose={onClose} testId="tools-sheet">
      <blockquote class="about-line"><p class="small muted">{name}</p><p>{said.text}</p></blockquote>
      <ul class="tools">
        {target.kind === "line" && (
          <>
            {pinned === said.id
              ? item("pin", text.unpin, "tool-unpin", () => run(() => acts.unpin(liveId, said.id)))
              : item("pin", text.pin, "tool-pin", () => run(() => acts.pin(liveId, said.id, pinned)))}
            {item("trash", text.remove, "tool-delete", () => run(() => acts.remove(liveId, said.id)))}
            {target.line.authorRole === "viewer" && people()}
          </>
        )}
        {target.kind === "question" && (
          <>
            {target.question.state === "open" && item("merge", text.merge, "tool-merge", () => setStep("merge"))}
            {(room.value.pins.length > 0 || target.question.productId !== "") && item("bag", text.product, "tool-about", () => setStep("product"))}
            {item("hide", text.hide, "tool-hide", () => run(() => acts.hide(said.id)))}
            {people()}
          </>
        )}
      </ul>
    </Sheet>
  );
}

interface BanStepProps {
  name: string;
  busy: boolean;
  onBan: (also: BanAlso) => void;
  onBack: () => void;
  onClose: () => void;
}

function BanStep({ name, busy, onBan, onBack, onClose }: BanStepProps): JSX.Element {
  const [lines, setLines] = useState(true);
  const [address, setAddress] = useState(false);
  return (
    <Sheet title={fill(text.ban_title, { name })} onClose={onClose} testId="ban-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); onBan({ with_address: address, delete_lines: lines }); }}>
        <p>{text.ban_lead}</p>
        <label class="check"><input type="checkbox" checked={lines} data-testid="ban-lines" onChange={(event) => setLines(event.currentTarget.checked)} /><span>{text.ban_lines}</span></label>
        <label class="check"><input type="checkbox" checked={address} data-testid="ban-address" onChange={(event) => setAddress(event.currentTarget.checked)} />
          <span>{text.ban_address}<br /><span class="small muted">{text.ban_address_hint}</span></span></label>
        <button type="submit" class="btn primary wide" disabled={busy} data-testid="ban-confirm">{text.ban_yes}</button>
        <button type="button" class="btn wide" disabled={busy} onClick={onBack}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}

interface MergeStepProps {
  room: ReadonlySignal<Room>;
  question: Question;
  busy: boolean;
  onMerge: (into: string) => void;
  onBack: () => void;
  onClose: () => void;
}

function MergeStep({ room, question, busy, onMerge, onBack, onClose }: MergeStepProps): JSX.Element {
  const [into, setInto] = useState<string | null>(null);
  const others = inOrder(room.value.questions.values()).filter((other) => other.id !== question.id && other.state !== "answered");
  return (
    <Sheet title={text.merge_title} onClose={onClose} testId="merge-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (into !== null) onMerge(into); }}>
        <blockquote class="about-line"><p>{question.text}</p></blockquote>
        {others.length === 0 && <p class="notice">{text.merge_none}</p>}
        <fieldset class="choices">
          <legend class="sr">{text.merge_title}</legend>
          {others.map((other) => (
            <label key={other.id} class="check">
              <input type="radio" name="into" value={other.id} checked={into === other.id} data-testid="merge-into" data-question={other.id} onChange={() => setInto(other.id)} />
              <span>{other.text}<br /><span class="small muted num">{fill(text.votes, { n: count(other.votes) })}</span></span>
            </label>
          ))}
        </fieldset>
        <p class="small muted">{text.merge_lead}</p>
        <button type="submit" class="btn primary wide" disabled={busy || into === null} data-testid="merge-confirm">{text.merge_yes}</button>
        <button type="button" class="btn wide" disabled={busy} onClick={onBack}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}
