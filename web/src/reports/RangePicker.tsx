import type { JSX } from "preact";
import { setQuery } from "../ui/router";
import { useShown } from "../ui/useShown";
import { dayOf, PRESETS, type Preset, type Range } from "./range";
import { dayLabel } from "./words-of";
import { text } from "./texts";

/** Which days; they stand in the address. */
export function RangePicker({ range }: { range: Range }): JSX.Element {
  const choose = (preset: Preset): void => setQuery(preset === "custom" ? { period: preset, from: range.from, to: range.to } : { period: preset, from: null, to: null });
  const day = (name: "from" | "to"): JSX.Element => (
    <label class="row"><span class="small muted">{text[name]}</span>
      <input class="input day" type="date" value={range[name]} max={dayOf(Date.now())} required data-testid={`range-${name}`}
        onChange={(event) => { if (event.currentTarget.value !== "") setQuery({ period: "custom", from: range.from, to: range.to, [name]: event.currentTarget.value }); }} />
    </label>
  );
  const row = useShown<HTMLDivElement>(range.preset);
  return (
    <div class="range-picker">
      <div ref={row} class="segments" role="group" aria-label={text.period}>
        {PRESETS.map((preset) => (
          <button key={preset} type="button" aria-pressed={preset === range.preset} data-testid={`period-${preset}`} onClick={() => choose(preset)}>{text[preset]}</button>
        ))}
      </div>
      {range.preset === "custom"
        ? <div class="row wrap days">{day("from")}{day("to")}</div>
        : <p class="small muted num" data-testid="range">{rangeWords(range)}</p>}
    </div>
  );
}

export function rangeWords({ from, to }: Pick<Range, "from" | "to">): string {
  return from === to ? dayLabel(from) : `${dayLabel(from)} – ${dayLabel(to)}`;
}
