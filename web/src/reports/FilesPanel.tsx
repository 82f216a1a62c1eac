import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { exports, FORMATS, type Export, type FileFormat, type FileRequest, type FileTable } from "../api/exports";
import { asProblem } from "../api/problem";
import { explainFully } from "../api/problem-texts";
import type { Dimension } from "../api/reports";
import { fill } from "../i18n/phrases";
import { persist } from "../purchase/persist";
import { uuid } from "../purchase/uuid";
import { Empty, Failed, Loading } from "../ui/states";
import { useLoad } from "../ui/useLoad";
import { FileRow, fileName, ofWords } from "./FileRow";
import { isUnderWay, quarterDone, refusalOf, rememberRequest, requestOf } from "./files";
import { files as text } from "./files-texts";
import { text as report } from "./texts";
import "./files.css";

/** While a file is being made. */
const LOOK_MS = 1_000;
const FIRST_FILES = 5;

interface FilesPanelProps {
  brandId: string;
  by: Dimension;
  /** The page's own days and filters. */
  question: FileRequest["filter"];
}

/** What the page shows, or the lines behind it, as files; and those that were asked for before. */
export function FilesPanel({ brandId, by, question }: FilesPanelProps): JSX.Element {
  const known = useLoad(() => exports.list(brandId), [brandId]);
  const [what, setWhat] = useState<"table" | "lines">("table");
  const [format, setFormat] = useState<FileFormat>("csv");
  const [all, setAll] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  /** The one that was asked for last; its course is told. */
  const [watched, setWatched] = useState<string | null>(null);
  const table: FileTable = what === "lines" || by === "brand" ? "lines" : by;
  const items = known.value;
  const waits = items?.some(isUnderWay) === true;
  useEffect(() => {
    if (!waits) return undefined;
    const timer = setInterval(() => { if (!document.hidden) known.reload(); }, LOOK_MS);
    return () => clearInterval(timer);
  }, [waits, known.reload]);

  const ask = (request: FileRequest): void => {
    const key = uuid();
    setBusy(true);
    setProblem(null);
    persist(() => exports.ask(brandId, request, key), {}).then((made) => {
      rememberRequest(made.export_id, request);
      setWatched(made.export_id);
      known.reload();
    }, (thrown: unknown) => setProblem(refusalWords(thrown))).finally(() => setBusy(false));
  };
  const again = (file: Export, as: FileFormat): void => ask({ ...(requestOf(file.export_id) ?? { table: file.table, filter: question }), format: as });
  const choices = ["table", "lines"] as const;
  const told = items?.find(({ export_id: id }) => id === watched);
  return (
    <section class="card panel stack files" aria-labelledby="files-title" data-testid="files">
      <div><h2 id="files-title" tabIndex={-1}>{text.title}</h2><p class="small muted">{text.lead}</p></div>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); ask({ format, table, filter: question }); }}>
        <fieldset><legend>{text.what}</legend>
          <div class="picks two">{choices.map((choice) => (
            <label key={choice} class="choice">
              <input type="radio" name="file-what" checked={choice === what} data-testid={`file-what-${choice}`} onChange={() => setWhat(choice)} />
              <span><strong>{choice === "table" ? fill(text.this_table, { by: report[`by_${by}`] }) : text.lines}</strong><span class="small muted">{choice === "table" ? text.this_table_hint : text.lines_hint}</span></span>
            </label>
          ))}</div>
        </fieldset>
        <fieldset><legend>{text.format}</legend>
          <div class="picks four">{FORMATS.map((one) => (
            <label key={one} class="choice">
              <input type="radio" name="file-format" checked={one === format} data-testid={`file-format-${one}`} onChange={() => setFormat(one)} />
              <span><strong>{text[one]}</strong><span class="small muted">{text[`${one}_hint`]}</span></span>
            </label>
          ))}</div>
        </fieldset>
        <div class="row wrap spread">
          <p class="small muted num grow" data-testid="file-of">{ofWords(brandId, question)}</p>
          <button type="submit" class="btn ink" disabled={busy} data-testid="file-make">{busy ? <><span class="spinner tiny" />{text.asking}</> : text.make}</button>
        </div>
        {problem !== null && <p class="notice bad" role="alert" data-testid="file-problem">{problem}</p>}
      </form>
      <h3>{text.list}</h3>
      <p class="sr" role="status" data-testid="file-said">{told === undefined ? "" : fill(text[`said_${told.state}`], { file: fileName(told), n: quarterDone(told) })}</p>
      {known.problem !== null && <Failed problem={known.problem} onRetry={known.reload} />}
      {items === null && known.problem === null && <Loading lines={1} />}
      {items !== null && items.length === 0 && <Empty icon="file">{text.none}</Empty>}
      {items !== null && items.length > 0 && (
        <ul class="file-list" data-testid="file-list">{(all ? items : items.slice(0, FIRST_FILES)).map((file) => <FileRow key={file.export_id} file={file} busy={busy} onAgain={again} />)}</ul>
      )}
      {items !== null && !all && items.length > FIRST_FILES && <p><button type="button" class="btn small" data-testid="all-files" onClick={() => setAll(true)}>{fill(text.show_all, { n: items.length })}</button></p>}
    </section>
  );
}

function refusalWords(thrown: unknown): string {
  const refusal = refusalOf(asProblem(thrown));
  if (refusal === null) return explainFully(thrown);
  return refusal.why === "too_many" ? fill(text.too_many, { n: refusal.n }) : text.no_parquet;
}
