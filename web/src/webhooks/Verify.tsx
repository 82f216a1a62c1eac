import type { JSX } from "preact";
import { hooks as text } from "./texts";

/** How a receiver knows that a message is ours, and what we expect of it. */
export function Verify(): JSX.Element {
  return (
    <div class="stack verify">
      <p class="small">{text.verify_text}</p>
      <p class="small muted">{text.verify_how}</p>
      <pre class="code" tabIndex={0} role="region" aria-label={text.verify_how}>{"v1,base64(HMAC(key, `${webhook-id}.${webhook-timestamp}.${body}`))"}</pre>
      <ul class="small dots"><li>{text.verify_2xx}</li><li>{text.verify_twice}</li></ul>
      <p class="small"><a href="https://www.standardwebhooks.com/" target="_blank" rel="noreferrer">{text.verify_site}</a></p>
    </div>
  );
}
