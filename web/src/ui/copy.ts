import { toast } from "./toast";
import { words } from "./words";

/** Whether it was; `instead` is said when it was not. */
export async function copy(text: string, instead = text): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    toast(words.copied);
    return true;
  } catch {
    // No permission, or not a secure page: the text stands selectable beside the button.
    toast(instead);
    return false;
  }
}
