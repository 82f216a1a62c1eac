/**
 * Edge: Stripe's script, asked for when somebody wants to pay by it, and from Stripe's own host alone (their rule: never
 * bundled, never copied). Only what is used of it has a type here.
 */

const SCRIPT = "https://js.stripe.com/v3/";
/** Longer than a slow phone takes; a blocked script says nothing at all. */
const LOAD_MS = 15_000;

export interface StripeError {
  type?: string;
  code?: string;
  message?: string;
}

export interface StripeElements {
  create: (kind: "payment", options: { layout: "tabs" | "accordion" }) => StripeElement;
  submit: () => Promise<{ error?: StripeError }>;
  update: (options: { amount: number }) => void;
}

export interface StripeElement {
  mount: (place: HTMLElement) => void;
  destroy: () => void;
  on: (event: "ready" | "change" | "loaderror", listener: (event: { value?: { type?: string } }) => void) => void;
}

export interface Stripe {
  elements: (options: Record<string, unknown>) => StripeElements;
  createConfirmationToken: (of: { elements: StripeElements; params: { return_url: string } }) => Promise<{ confirmationToken?: { id: string }; error?: StripeError }>;
  handleNextAction: (of: { clientSecret: string }) => Promise<{ error?: StripeError }>;
  confirmSetup: (of: { elements: StripeElements; confirmParams: { return_url: string }; redirect: "if_required" }) => Promise<{ error?: StripeError }>;
}

type MakeStripe = (publishableKey: string, options: { locale: string }) => Stripe;

let loading: Promise<MakeStripe> | null = null;

/** Rejects when the script did not come; the next call tries again. */
export async function stripe(publishableKey: string, locale: string): Promise<Stripe> {
  loading ??= load().catch((thrown: unknown) => {
    loading = null;
    throw thrown;
  });
  return (await loading)(publishableKey, { locale });
}

function load(): Promise<MakeStripe> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const fail = (why: string): void => {
      clearTimeout(patience);
      script.remove();
      reject(new Error(why));
    };
    const patience = setTimeout(() => fail("Stripe's script did not come in time"), LOAD_MS);
    script.src = SCRIPT;
    script.async = true;
    script.onerror = () => fail("Stripe's script could not be loaded");
    script.onload = () => {
      const made = (globalThis as { Stripe?: MakeStripe }).Stripe;
      if (made === undefined) return fail("Stripe's script is not what it should be");
      clearTimeout(patience);
      resolve(made);
    };
    document.head.append(script);
  });
}

/** How Stripe's form looks on our paper, in both schemes: it lives in a frame and cannot read our styles. */
export function appearance(): Record<string, unknown> {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  return {
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe",
    variables: {
      colorPrimary: colour("--shu"), colorBackground: colour("--raised"), colorText: colour("--ink"), colorTextSecondary: colour("--ink-2"),
      colorDanger: colour("--shu-text"), borderRadius: "10px", fontSizeBase: "16px",
    },
  };
}

/**
 * Stripe lays its own dialogs over the page, and the browser keeps a modal sheet above and all else out of reach: the
 * sheet steps aside for so long.
 */
export async function besideSheet<T>(within: Element | null, work: () => Promise<T>): Promise<T> {
  const sheet = within?.closest("dialog") ?? null;
  sheet?.close();
  try {
    return await work();
  } finally {
    if (sheet !== null && sheet.isConnected && !sheet.open) sheet.showModal();
  }
}
