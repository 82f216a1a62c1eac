import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { explain } from "../api/problem-texts";
import { toast } from "./toast";

/** A part that few people open: its code comes when it is first shown. */
export function lazily<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => JSX.Element | null {
  let loaded: ComponentType<P> | null = null;
  return function Lazily(props: P): JSX.Element | null {
    const [Part, setPart] = useState<ComponentType<P> | null>(() => loaded);
    useEffect(() => {
      if (loaded !== null) return;
      load().then(
        (part) => {
          loaded = part;
          setPart(() => part);
        },
        (thrown: unknown) => toast(explain(thrown), true),
      );
    }, []);
    return Part === null ? null : <Part {...props} />;
  };
}
