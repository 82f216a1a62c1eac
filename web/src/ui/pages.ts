import type { ComponentType } from "preact";

export interface PageProps {
  /** What the path names (a live, a brand); empty for a list. */
  id: string;
}

type Load = () => Promise<ComponentType<PageProps>>;

/** Each page is its own chunk: who watches does not carry the studio. */
const PAGES: { name: string; pattern: RegExp; load: Load }[] = [
  { name: "lives", pattern: /^\/$/, load: async () => (await import("../pages/lives/LivesPage")).LivesPage },
  { name: "watch", pattern: /^\/watch\/([^/]+)\/?$/, load: async () => (await import("../pages/watch/WatchPage")).WatchPage },
  { name: "studio", pattern: /^\/studio\/?$/, load: async () => (await import("../pages/studio/StudioListPage")).StudioListPage },
  { name: "studio-live", pattern: /^\/studio\/([^/]+)\/?$/, load: async () => (await import("../pages/studio/StudioPage")).StudioPage },
  { name: "brand", pattern: /^\/brand(?:\/([^/]+))?\/?$/, load: async () => (await import("../pages/brand/BrandPage")).BrandPage },
  { name: "sign-in", pattern: /^\/sign-in\/?$/, load: async () => (await import("../pages/sign-in/SignInPage")).SignInPage },
  { name: "docs", pattern: /^\/docs\/?$/, load: async () => (await import("../pages/docs/DocsPage")).DocsPage },
];

export interface MatchedPage {
  name: string;
  id: string;
  load: Load;
}

export function matchPage(pathname: string): MatchedPage | null {
  for (const page of PAGES) {
    const match = page.pattern.exec(pathname);
    if (match === null) continue;
    try {
      return { name: page.name, id: decodeURIComponent(match[1] ?? ""), load: page.load };
    } catch {
      // A path with a broken escape names nothing.
      return null;
    }
  }
  return null;
}
