import { toast } from "./toast";
import { words } from "./words";

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(words.copied);
  } catch {
    // No permission, or not a secure page: the text stands selectable beside the button.
    toast(text);
  }
}
