import { toast } from "./toast";
import { words } from "./words";

/** Whether it was. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    toast(words.copied);
    return true;
  } catch {
    // No permission, or not a secure page: the text stands selectable beside the button.
    toast(text);
    return false;
  }
}
