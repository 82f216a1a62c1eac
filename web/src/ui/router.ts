import { signal } from "@preact/signals";

export const path = signal(location.pathname);
/** Follows changes of the query on the same page (sign-in?next=). */
export const query = signal(location.search);

export function navigate(to: string): void {
  history.pushState(null, "", to);
  follow();
  scrollTo(0, 0);
}

function follow(): void {
  path.value = location.pathname;
  query.value = location.search;
}

/** Links to our own pages change the page without loading it anew; everything else is the browser's. */
export function listen(isPage: (pathname: string) => boolean): void {
  addEventListener("popstate", follow);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (!isPage(link.pathname) || link.hash !== "") return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}

/** Only paths on this site: a `next` must not lead elsewhere. */
export function safeNext(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** The same for an address that may be absolute: only this site's, as a path. */
export function safeReturn(address: string | null): string {
  try {
    const url = new URL(address ?? "/", location.origin);
    return url.origin === location.origin ? safeNext(url.pathname + url.search) : "/";
  } catch {
    return "/";
  }
}

export function signInPath(): string {
  return `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
}

/** Another view of the same page: it stands in the address, so that it can be shared and come back to. null takes away. */
export function setQuery(changes: Readonly<Record<string, string | null>>): void {
  const next = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  history.pushState(null, "", text === "" ? location.pathname : `${location.pathname}?${text}`);
  follow();
}
