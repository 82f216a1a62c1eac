import type { JSX } from "preact";
import { me, signOut } from "../api/session";
import { explain } from "../api/problem-texts";
import mon from "../assets/mon.svg";
import { Icon } from "./icons";
import { LanguageSwitch } from "./LanguageSwitch";
import { path, signInPath } from "./router";
import { toast } from "./toast";
import { useShown } from "./useShown";
import { words } from "./words";

export function Header(): JSX.Element {
  const here = path.value;
  const link = (href: string, label: string, current: boolean): JSX.Element => (
    <a href={href} aria-current={current ? "page" : undefined}>{label}</a>
  );
  const person = me.value;
  const nav = useShown<HTMLElement>(`${here} ${person?.account_id ?? ""}`);
  return (
    <header class="site">
      <a class="sr" href="#main">{words.skip}</a>
      <div class="bar">
        <a class="brandmark" href="/" aria-label="花道 Hanamichi"><img src={mon} alt="" width="30" height="30" /><span class="latin">{words.app}</span></a>
        <nav ref={nav} aria-label={words.main_nav}>
          {link("/", words.lives, here === "/")}
          {link("/studio", words.studio, here.startsWith("/studio"))}
          {link("/brand", words.brand, here.startsWith("/brand"))}
          {person != null && person.liver_id !== null && link("/earnings", words.earnings, here.startsWith("/earnings"))}
          {person != null && person.staff_location_ids.length > 0 && link("/staff", words.staff, here.startsWith("/staff"))}
          {person?.operator === true && link("/admin/reports", words.admin, here.startsWith("/admin"))}
        </nav>
        <span class="grow" />
        <LanguageSwitch />
        {person === null && <a class="btn small" href={here === "/sign-in" ? "/sign-in" : signInPath()} data-testid="sign-in-link">{words.sign_in}</a>}
        {person !== null && person !== undefined && (
          <>
            <a class="icon-btn" href="/orders" aria-label={words.my_orders} title={words.my_orders} data-testid="orders-link"
              aria-current={here.startsWith("/orders") || here.startsWith("/cards") ? "page" : undefined}><Icon name="bag" /></a>
            <span class="small muted clip who" data-testid="who">{person.display_name}</span>
            <button type="button" class="btn small out" aria-label={words.sign_out} title={words.sign_out} data-testid="sign-out"
              onClick={() => signOut().catch((thrown: unknown) => toast(explain(thrown), true))}><span>{words.sign_out}</span><Icon name="out" /></button>
          </>
        )}
      </div>
    </header>
  );
}
