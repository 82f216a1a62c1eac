import { signal } from "@preact/signals";

/** Light or dark: a drawn chart has taken its colours, and is drawn again with the others. */
const query = matchMedia("(prefers-color-scheme: dark)");
export const dark = signal(query.matches);
query.addEventListener("change", (event) => {
  dark.value = event.matches;
});
