/** Pure: where an action leads, and where it comes back to. */

/** The sandbox's page is ours and comes back to where it is told; every other one was told by the server. */
export function withReturn(url: string, back: string, origin: string): string {
  const to = new URL(url, origin);
  if (to.origin !== origin || to.pathname !== "/sandbox/action") return url;
  if (!to.searchParams.has("return")) to.searchParams.set("return", back);
  return to.pathname + to.search;
}
