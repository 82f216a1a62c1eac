import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { moderation, type Word } from "../../../api/moderation";
import { explainFully } from "../../../api/problem-texts";
import { count } from "../../../i18n/format";
import { fill } from "../../../i18n/phrases";
import { deeds } from "../../../moderation/acts";
import { Failed, Loading } from "../../../ui/states";
import { toast } from "../../../ui/toast";
import { useLoad } from "../../../ui/useLoad";
import { words } from "../../../ui/words";
import { changeOf, linesOf } from "./word-lines";
import { text } from "./texts";

export function WordsForm({ liverId }: { liverId: string }): JSX.Element {
  const kept = useLoad(() => moderation.words(liverId), [liverId]);
  const [written, setWritten] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const stored = kept.value?.map(({ word }) => word).join("\n") ?? "";
  const value = written ?? stored;
  const changed = written !== null && linesOf(written).join("\n") !== stored;

  useEffect(() => {
    // A page that is left must not take typed words with it unasked.
    if (!changed) return undefined;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [changed]);

  const save = (): void => {
    setBusy(true);
    setProblem(null);
    store(liverId, kept.value ?? [], linesOf(value)).then(() => {
      deeds.value += 1;
      toast(text.words_saved);
      kept.reload();
      setWritten(null);
    }, (thrown: unknown) => {
      // Some of it may be done.
      setProblem(thrown);
      kept.reload();
    }).finally(() => setBusy(false));
  };
  if (kept.value === null) return kept.problem === null ? <Loading lines={2} /> : <Failed problem={kept.problem} onRetry={kept.reload} />;
  return (
    <form class="stack" onSubmit={(event) => { event.preventDefault(); save(); }}>
      <label class="field"><span>{text.words_label}</span>
        <textarea class="input" rows={7} value={value} spellcheck={false} autocapitalize="off" data-testid="words" onInput={(event) => setWritten(event.currentTarget.value)} />
        <span class="hint">{text.words_hint}</span>
      </label>
      {problem !== null && <p class="notice bad" role="alert">{explainFully(problem)}</p>}
      <div class="row spread">
        <span class="small muted num">{fill(text.words_count, { n: count(linesOf(value).length) })}{changed && ` ・ ${text.words_unsaved}`}</span>
        <button type="submit" class="btn small ink" disabled={busy || !changed} data-testid="words-save">{words.save}</button>
      </div>
    </form>
  );
}

/** Makes the list what was written: first what goes, because the list has an end, then what comes. */
async function store(liverId: string, known: readonly Word[], wanted: readonly string[]): Promise<void> {
  const { gone, added } = changeOf(known, wanted);
  for (const id of gone) await moderation.removeWord(liverId, id);
  if (added.length > 0) await moderation.addWords(liverId, added);
}
