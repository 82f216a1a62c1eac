/** The sheet of what can be done about a line or question; few open it, so its code comes when it is needed. */
import { lazily } from "../ui/lazily";

export type { Target } from "./ToolsSheet";

export const ToolsSheet = lazily(async () => (await import("./ToolsSheet")).ToolsSheet);
