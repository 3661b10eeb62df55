// The page: what stands where, and the keys.
import { render } from "./vendor/preact.mjs";
import { useEffect } from "./vendor/hooks.mjs";
import { html } from "./dom.js";
import { keys } from "./keys.js";
import { lazy } from "./lazy.js";
import { go, view } from "./link.js";
import { begin, useModel } from "./model.js";
import { Banners } from "./views/banners.js";
import { Charts } from "./views/charts.js";
import { Invariants } from "./views/invariants.js";
import { ServiceMap } from "./views/map.js";
import { Resilience } from "./views/resilience.js";
import { Tail } from "./views/tail.js";
import { Tiles } from "./views/tiles.js";
import { Topbar } from "./views/topbar.js";

const Detail = lazy(() => import("./views/detail.js"), "Detail");
const Help = lazy(() => import("./views/help.js"), "Help");
const Lock = lazy(() => import("./views/lock.js"), "Lock");

const narrow = matchMedia("(max-width: 680px)"); // there the detail covers the whole page

function App() {
  const model = useModel();
  useEffect(() => keys(window), []);
  useEffect(() => {
    document.documentElement.classList.toggle("wall", view.wall === "1");
  }, [view.wall]);
  if (model.locked) return html`<${Lock} />`;
  const detail = Boolean(view.x || view.trace);
  return html`
    <div class="under" inert=${detail && narrow.matches}>
    <a class="skip" href="#exchanges" onClick=${skip}>Skip to the exchanges</a>
    <${Topbar} />
    <main>
      <${Banners} />
      <${Tiles} />
      <div class="upper">
        <${ServiceMap} />
        <${Resilience} />
      </div>
      <${Charts} />
      <${Invariants} />
      <${Tail} />
    </main>
    </div>
    ${detail && html`<${Detail} />`}
    ${view.panel === "help" && html`<${Help} close=${() => go({ panel: "" })} />`}
  `;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("exchanges")?.focus();
}

const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
begin();
