import { signal } from "@preact/signals";

/** Is there room for a side panel next to an upright picture? */
const query = matchMedia("(min-width: 940px)");
export const wide = signal(query.matches);
query.addEventListener("change", (event) => {
  wide.value = event.matches;
});
