import type { JSX } from "preact";

const PATHS = {
  close: "M6 6l12 12M18 6L6 18",
  heart: "M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.4 4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10z",
  send: "M4.5 12L20 4.5 15.5 20l-3.4-6.3zM12.1 13.7L20 4.5",
  question: "M9.2 9.2a2.9 2.9 0 1 1 4.3 2.5c-.9.5-1.5 1.1-1.5 2.1v.4M12 17.3v.1M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18z",
  muted: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  sound: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 14.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6z",
  out: "M13.5 4.5h-8v15h8M10 12h10.5M16.5 8l4 4-4 4",
  card: "M3 6.5h18v11H3zM3 10h18M6.5 14.5h4",
  bag: "M5.5 8.5h13l1 11.5h-15zM9 8.5V7a3 3 0 0 1 6 0v1.5",
  back: "M14.5 5.5L8 12l6.5 6.5",
  up: "M12 19V5.5M6 11.5l6-6 6 6",
  check: "M5 12.5l4.5 4.5L19 7.5",
  camera: "M3.5 7.5h11v9h-11zM14.5 11l6-3.5v9l-6-3.5",
  screen: "M3.5 5h17v11.5h-17zM9 20h6M12 16.5V20",
  chart: "M4 20V4M4 20h16M8.5 16.5v-5M13 16.5v-9M17.5 16.5v-7",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  lantern: "M8 4h8M9 20h6M12 2v2M12 20v2M8 4c-3 3-3 13 0 16M16 4c3 3 3 13 0 16M6.2 9h11.6M6.2 15h11.6",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  pin: "M9 4h6l-.8 6.2 3.3 3.3H6.5l3.3-3.3zM12 13.5V20",
  trash: "M5 7h14M10 7V5h4v2M7 7l.8 12.5h8.4L17 7M10.3 10.5v6M13.7 10.5v6",
  hush: "M4 5h16v11H10l-4.5 4V16H4zM9 8.5l6 5M15 8.5l-6 5",
  ban: "M12 20.5a8.5 8.5 0 1 1 0-17 8.5 8.5 0 0 1 0 17zM6 6l12 12",
  merge: "M7 4v4c0 4 5 3.5 5 8v4M17 4v4c0 4-5 3.5-5 8M9 17l3 3 3-3",
  shield: "M12 3.5l7 2.5v5.5c0 4.6-3 7.6-7 9-4-1.4-7-4.4-7-9V6z",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5c.8-4 3.9-6 7.5-6s6.7 2 7.5 6",
  hide: "M4 4l16 16M9.9 6.1A9.5 9.5 0 0 1 12 5.8c6 0 9.5 6.2 9.5 6.2a16 16 0 0 1-3 3.7M6.2 8A15.5 15.5 0 0 0 2.5 12s3.5 6.2 9.5 6.2c1.4 0 2.7-.3 3.8-.8",
  chat: "M4 5h16v11H10l-4.5 4V16H4z",
  funnel: "M4 5.5h16l-6.2 7.3v5.7l-3.6-2v-3.7z",
  yen: "M6 4.5l6 8 6-8M12 12.5V20M7.5 13h9M7.5 16.3h9",
  file: "M6 3.5h8l4.5 4.5v12.5H6zM14 3.5V8h4.5M12.2 11v6M9.5 14.6l2.7 2.6 2.7-2.6",
  print: "M7 9V4h10v5M7 17H4V9.5h16V17h-3M7 14h10v6H7z",
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration only: whatever holds an icon says in words what it does. */
export function Icon({ name, fill = false }: { name: IconName; fill?: boolean }): JSX.Element {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" fill={fill ? "currentColor" : "none"} stroke="currentColor" stroke-width="1.7"
      stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
