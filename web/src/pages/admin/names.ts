/** The server's names of accounts, findings and ways out, as this page calls them; one of a later contract by itself. */
import { text } from "./texts";

export function named(group: "account" | "kind" | "how" | "means", name: string): string {
  const phrase = (text as Record<string, string | undefined>)[`${group}_${name.replaceAll("-", "_")}`];
  return phrase ?? name;
}
