import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Header } from "./Header";
import { matchPage, type PageProps } from "./pages";
import { path } from "./router";
import { Empty, Failed } from "./states";
import { Toasts } from "./Toasts";
import { words } from "./words";

export function App(): JSX.Element {
  const here = path.value;
  const page = matchPage(here);
  const [shown, setShown] = useState<{ name: string; Page: ComponentType<PageProps> } | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const name = page?.name ?? null;

  useEffect(() => {
    document.documentElement.dataset["page"] = name ?? "";
    if (page === null) return undefined;
    let current = true;
    setProblem(null);
    page.load().then(
      (Page) => { if (current) setShown({ name: page.name, Page }); },
      (thrown: unknown) => { if (current) setProblem(thrown); },
    );
    return () => { current = false; };
  }, [name]);

  let body: JSX.Element | null = null;
  if (page === null) body = <NotFound />;
  else if (problem !== null) body = <main id="main" class="page"><Failed problem={problem} onRetry={() => location.reload()} /></main>;
  else if (shown !== null && shown.name === name) body = <shown.Page key={here} id={page.id} sub={page.sub} />;

  return (
    <>
      {/* The watch page is all picture; it brings its own way back. */}
      {name !== "watch" && <Header />}
      {body}
      <Toasts />
    </>
  );
}

function NotFound(): JSX.Element {
  return (
    <main id="main" class="page">
      <Empty>
        <h1>{words.not_found_title}</h1>
        <p>{words.not_found_text}</p>
        <p><a class="btn" href="/">{words.to_lives}</a></p>
      </Empty>
    </main>
  );
}
