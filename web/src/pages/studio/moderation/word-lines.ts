/** Pure: the words of a text field, one a line, each once, in the order in which they stand. */
export function linesOf(written: string): string[] {
  return [...new Set(written.split("\n").map((line) => line.trim()).filter((line) => line !== ""))];
}
