import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { phrases } from "../../i18n/phrases";
import { Failed, Loading } from "../../ui/states";
import "./docs.css";

const text = phrases({
  title: ["API リファレンス", "API reference"],
  lead: ["OpenAPI 3.1 の原本：", "The OpenAPI 3.1 source: "],
});

/** The reference is drawn by Swagger UI, served from here and loaded only here. */
export function DocsPage(): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<"loading" | "ready" | { problem: unknown }>("loading");
  useEffect(() => {
    import("./reference").then(
      ({ drawReference }) => {
        if (place.current !== null) drawReference(place.current, "/v1/openapi.json");
        setState("ready");
      },
      (problem: unknown) => setState({ problem }),
    );
  }, []);
  return (
    <main id="main" class="page docs">
      <h1>{text.title}</h1>
      <p class="muted">{text.lead}<a href="/v1/openapi.json">/v1/openapi.json</a></p>
      {state === "loading" && <Loading />}
      {typeof state === "object" && <Failed problem={state.problem} onRetry={() => location.reload()} />}
      <div ref={place} class="reference" data-testid="reference" />
    </main>
  );
}
