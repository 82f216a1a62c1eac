import type { JSX } from "preact";

export interface Tab {
  id: string;
  label: string;
  badge?: number;
}

interface TabsProps {
  tabs: readonly Tab[];
  value: string;
  onChange: (id: string) => void;
}

/** Tabs by the book: one stop for the Tab key, arrows move between them. */
export function Tabs({ tabs, value, onChange }: TabsProps): JSX.Element {
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const at = tabs.findIndex((tab) => tab.id === value);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (next === undefined) return;
    onChange(next.id);
    const button = document.getElementById(`tab-${next.id}`);
    button?.focus();
    button?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  return (
    <div class="tabs" role="tablist" onKeyDown={move}>
      {tabs.map((tab) => (
        <button key={tab.id} type="button" role="tab" id={`tab-${tab.id}`} aria-selected={tab.id === value} aria-controls={`panel-${tab.id}`}
          tabIndex={tab.id === value ? 0 : -1} data-testid={`tab-${tab.id}`} onClick={() => onChange(tab.id)}>
          {tab.label}{tab.badge !== undefined && tab.badge > 0 && <span class="badge num">{tab.badge}</span>}
        </button>
      ))}
    </div>
  );
}
