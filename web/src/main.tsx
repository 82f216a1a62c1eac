import { render } from "preact";
import { loadSession } from "./api/session";
import { startEarly } from "./media/early";
import { App } from "./ui/App";
import { matchPage } from "./ui/pages";
import { listen } from "./ui/router";
import "./styles/base.css";
import "./styles/parts.css";

const first = matchPage(location.pathname);
// The picture first: its request leaves before anything else on the watch page.
if (first?.name === "watch") startEarly(first.id);
document.documentElement.dataset["page"] = first?.name ?? "";
// Its code next: rendering would ask for it only after the first paint.
void first?.load().catch(() => undefined);
void loadSession();
// Somebody's link or code led here: its code comes only then.
if (/[?&](via|staff)=/.test(location.search)) {
  const { pathname, search } = location;
  void import("./touches/arrivals").then(({ arrivalsOf, tellArrivals }) => tellArrivals(arrivalsOf(pathname, search)), () => undefined);
}
listen((pathname) => matchPage(pathname) !== null);
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
