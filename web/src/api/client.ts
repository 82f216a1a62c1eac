import { Problem, problemOf } from "./problem";

export interface RequestOptions {
  body?: unknown;
  /** A body that is not JSON: a file, as it is. */
  file?: { type: string; content: ArrayBuffer };
  idempotencyKey?: string;
  signal?: AbortSignal;
  /** Lets the request outlive the page (leaving a session). */
  keepalive?: boolean;
}

export type Query = Record<string, string | number | null | undefined>;

export function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** One request to the REST interface. Every failure is a Problem, a lost connection included. */
export async function call<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (options.file !== undefined) headers["content-type"] = options.file.type;
  if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  if (options.file !== undefined) init.body = options.file.content;
  if (options.signal !== undefined) init.signal = options.signal;
  if (options.keepalive === true) init.keepalive = true;

  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") throw thrown;
    throw new Problem("network", 0, thrown instanceof Error ? thrown.message : "", 0);
  }
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch {
    // The connection broke while the body came: whether the request worked is unknown, as with no answer.
    throw new Problem("network", 0, "the answer was cut short", 0);
  }
}

export const api = {
  get: <T>(path: string, options?: RequestOptions) => call<T>("GET", path, options),
  post: <T>(path: string, body?: unknown, options?: RequestOptions) => call<T>("POST", path, { ...options, body: body ?? {} }),
  upload: <T>(path: string, file: NonNullable<RequestOptions["file"]>) => call<T>("POST", path, { file }),
  patch: <T>(path: string, body: unknown) => call<T>("PATCH", path, { body }),
  remove: (path: string, options?: RequestOptions) => call<void>("DELETE", path, options),
};

export function seg(id: string): string {
  return encodeURIComponent(id);
}
