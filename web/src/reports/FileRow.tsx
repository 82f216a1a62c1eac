import type { JSX } from "preact";
import { exports, type Export, type FileFormat, type FileRequest } from "../api/exports";
import { count, dateTime, money } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { Icon } from "../ui/icons";
import { chosenIn, failureOf, isKept, isUnderWay, percentDone, requestOf, SHEET_ROWS_MAX, sizeWords } from "./files";
import { files as text } from "./files-texts";
import { FILTER_NAMES } from "./filters";
import { labelOf } from "./known-labels";
import { rangeWords } from "./RangePicker";
import { text as report } from "./texts";

const LOOK = { queued: "tag", running: "tag soon", done: "tag ok", failed: "tag live plain", expired: "tag" } as const;

interface FileRowProps {
  file: Export;
  busy: boolean;
  onAgain: (file: Export, as: FileFormat) => void;
}

/** One file: how far it is, what it holds, and how it is had. */
export function FileRow({ file, busy, onAgain }: FileRowProps): JSX.Element {
  const request = requestOf(file.export_id);
  const kept = isKept(file, Date.now());
  const state = file.state === "done" && !kept ? "expired" : file.state;
  const name = fileName(file);
  const gone = state === "failed" || state === "expired";
  const why = state === "failed" ? failureOf(file.failure).why : null;
  // What would fail again is not offered again.
  const canAgain = gone && why !== "too_many_rows" && why !== "table_too_long";
  return (
    <li class="file-row" data-testid="file" data-export={file.export_id} data-state={state} data-format={file.format} data-table={file.table} data-rows={file.rows_done} data-net={file.net_minor}>
      <div class="grow">
        <p class="row wrap"><strong>{name}</strong><span class={LOOK[state]}>{text[state]}</span></p>
        <p class="small muted num">{request !== null && `${ofWords(file.brand_id, request.filter)} ・ `}{fill(text.asked_at, { at: dateTime(file.created_at_ms) })}</p>
        {isUnderWay(file) && <Progress file={file} name={name} />}
        {state === "done" && (
          <dl class="row wrap small num file-sums">
            <div><dt>{text.rows}</dt><dd>{count(file.rows_done)}</dd></div>
            <div><dt>{text.size}</dt><dd>{sizeWords(file.bytes)}</dd></div>
            <div><dt>{text.units}</dt><dd>{count(file.units)}</dd></div>
            <div><dt>{text.net}</dt><dd>{money(file.net_minor)}</dd></div>
          </dl>
        )}
        {state === "failed" && <p class="small failure" data-testid="file-failure">{failureWords(file.failure)}</p>}
        {(canAgain || why === "too_many_rows") && request === null && <p class="small muted">{text.again_now}</p>}
      </div>
      <div class="acts">
        {kept && <a class="btn small" href={exports.filePath(file.export_id)} aria-label={fill(text.fetch_of, { file: name })} download data-testid="file-fetch"><Icon name="file" />{text.fetch}</a>}
        {kept && file.expires_at_ms !== null && <span class="small muted num">{fill(text.kept_until, { at: dateTime(file.expires_at_ms) })}</span>}
        {why === "too_many_rows" && <button type="button" class="btn small ink" disabled={busy} data-testid="file-as-csv" onClick={() => onAgain(file, "csv")}>{text.as_csv}</button>}
        {canAgain && <button type="button" class="btn small" disabled={busy} aria-label={fill(text.again_of, { file: name })} data-testid="file-again" onClick={() => onAgain(file, file.format)}>{text.again}</button>}
      </div>
    </li>
  );
}

function Progress({ file, name }: { file: Export; name: string }): JSX.Element {
  const percent = percentDone(file);
  return (
    <p class="file-progress small num">
      <progress aria-label={fill(text.progress, { file: name })} max={100} {...(percent === null ? {} : { value: percent })} data-testid="file-progress" />
      <span>{file.rows_total === null ? (file.state === "queued" ? text.in_turn : text.counting) : fill(text.rows_of, { done: count(file.rows_done), total: count(file.rows_total) })}</span>
    </p>
  );
}

export function fileName({ table, format }: Pick<Export, "table" | "format">): string {
  return `${table === "lines" ? text.table_lines : fill(text.table_by, { by: report[`by_${table}`] })} ・ ${text[format]}`;
}

/** Which days and filters, as the page calls them. */
export function ofWords(brandId: string, filter: FileRequest["filter"]): string {
  const { days, filters } = chosenIn(filter);
  const names = FILTER_NAMES.flatMap((name) => {
    const key = filters[name];
    return key === undefined ? [] : [fill(report.filter, { name: report[`by_${name}`], label: labelOf({ brandId }, name, key) })];
  });
  return fill(text.of, { days: days === null ? text.all_days : rangeWords(days), filters: names.length === 0 ? text.no_filter : names.join(" ・ ") });
}

function failureWords(failure: string | null): string {
  const found = failureOf(failure);
  switch (found.why) {
    case "too_many_rows": return fill(text.too_many_rows, { rows: count(found.rows), max: count(SHEET_ROWS_MAX) });
    case "table_too_long": return fill(text.table_too_long, { max: count(found.max) });
    case "given_up": return text.given_up;
    case "other": return fill(text.could_not, { words: found.words });
  }
}
