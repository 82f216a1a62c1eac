/**
 * Edge: the STUN and TURN servers that an answer names in its `Link` (RFC 9725, section 4.6). A browser gathers with the
 * servers that it had when it made its offer, so what one answer names serves the next connection of the page.
 */

/** `<uri>; name="value"; …`, several after commas; quoted text may hold anything. */
const LINK = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]*))*)/g;
const PARAMETER = /;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))/g;

/** The servers of a `Link` header; other links are not ours. */
export function iceServers(link: string | null): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (const [, url = "", rest = ""] of (link ?? "").matchAll(LINK)) {
    const found = new Map<string, string>();
    for (const [, name = "", quoted, plain] of rest.matchAll(PARAMETER)) {
      found.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "");
    }
    if (found.get("rel") !== "ice-server" || !/^(stuns?|turns?):/.test(url)) continue;
    const username = found.get("username");
    const credential = found.get("credential");
    if (username !== undefined && credential !== undefined) servers.push({ urls: url, username, credential });
    else if (url.startsWith("stun")) servers.push({ urls: url });
  }
  return servers;
}

/** A connection that is not there by then is made anew … */
const CONNECT_WITHIN_MS = 10_000;
/** … and sooner when the next one has servers that this one has not. */
const DIRECT_WITHIN_MS = 4_000;

let known: RTCIceServer[] = [];

/** What the newest answer named. */
export function knownIceServers(): RTCIceServer[] {
  return known;
}

/** Remembers what an answer names. Returns how long to wait for the connection that was answered. */
export function learnIceServers(response: Response): number {
  const before = known.length;
  known = iceServers(response.headers.get("link"));
  return before === 0 && known.length > 0 ? DIRECT_WITHIN_MS : CONNECT_WITHIN_MS;
}
