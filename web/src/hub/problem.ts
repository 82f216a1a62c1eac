/** Value: what the server refuses, and how it says so. */

/** The stable names of the contract's problems; the wire sends them as `/problems/<name>`. */
export const PROBLEM_NAMES = [
  "invalid-input", "not-signed-in", "wrong-credentials", "forbidden", "not-found", "conflict", "idempotency-key-missing",
  "idempotency-key-reused", "rate-limited", "too-large", "unavailable", "internal", "live-not-scheduled", "live-not-live",
  "live-ended", "pr-label-missing", "sold-out", "limit-reached", "offer-not-started", "offer-ended", "price-changed",
  "purchase-not-payable", "payment-declined", "payment-method-unavailable", "payment-lapsed",
  "payment-provider-away", "signature-invalid", "hold-expired", "queue-full", "publisher-exists", "no-publisher",
  "unsupported-media", "unsupported-content-type", "upgrade-required", "etag-missing", "stale-etag", "email-taken", "payee-missing", "unknown-sku", "pickup-unavailable", "pickup-code-wrong", "pickup-handed-over", "method-not-allowed",
  "banned", "muted", "word-refused", "slow-mode", "followers-only",
] as const;

/**
 * Two are ours. `network`: the server was not reached, so nothing is known about the request. `no-socket`: the command needs
 * the WebSocket, and there is only the event stream.
 */
export type ProblemName = (typeof PROBLEM_NAMES)[number] | "network" | "no-socket" | "unknown";

const KNOWN: ReadonlySet<string> = new Set(PROBLEM_NAMES);

export function problemName(type: string | null | undefined): ProblemName {
  const name = (type ?? "").replace(/^.*\/problems\//, "");
  return KNOWN.has(name) ? (name as ProblemName) : "unknown";
}

export class Problem extends Error {
  constructor(
    readonly kind: ProblemName,
    readonly status: number,
    readonly detail: string,
    readonly retryAfterMs: number,
    /** How many are before this request in the queue; null when nobody counts. */
    readonly position: number | null = null,
  ) {
    super(`${kind} (${status}): ${detail}`);
    this.name = "Problem";
  }

  /** May the same request, under the same key, be sent again and come out well? */
  get retryable(): boolean {
    return this.kind === "network" || this.status === 503 || this.status === 429 || this.status === 502 || this.status === 504;
  }
}

export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem("unknown", 0, thrown instanceof Error ? thrown.message : String(thrown), 0);
}

export async function problemOf(response: Response): Promise<Problem> {
  const header = Number(response.headers.get("retry-after"));
  let type = "";
  let detail = "";
  let position: number | null = null;
  let retryAfterMs = Number.isFinite(header) && header > 0 ? header * 1000 : 0;
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) {
      const members = body as Record<string, unknown>;
      if (typeof members["type"] === "string") type = members["type"];
      if (typeof members["detail"] === "string") detail = members["detail"];
      if (typeof members["retry_after_ms"] === "number" && members["retry_after_ms"] > 0) retryAfterMs = members["retry_after_ms"];
      if (typeof members["position"] === "number" && members["position"] >= 0) position = members["position"];
    }
  } catch {
    // A proxy's HTML page or nothing at all: the status alone must do.
  }
  return new Problem(type === "" ? byStatus(response.status) : problemName(type), response.status, detail, retryAfterMs, position);
}

function byStatus(status: number): ProblemName {
  switch (status) {
    case 401: return "not-signed-in";
    case 403: return "forbidden";
    case 404: return "not-found";
    case 413: return "too-large";
    case 415: return "unsupported-media";
    case 429: return "rate-limited";
    case 502: case 503: case 504: return "unavailable";
    default: return status >= 500 ? "internal" : "unknown";
  }
}
