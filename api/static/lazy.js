// Views that are not part of the first glance: fetched when they are first shown, or once the page is at rest.
import { useEffect, useState } from "./vendor/hooks.mjs";
import { html } from "./dom.js";

const AT_REST_MS = 1500;

export function lazy(load, name) {
  setTimeout(() => load().catch(() => {}), AT_REST_MS); // where that fails, it is tried again when it is wanted
  return (props) => {
    const [found, setFound] = useState(null);
    useEffect(() => void load().then((module) => setFound(() => module[name]), () => setFound(() => Missing)), []);
    return found ? html`<${found} ...${props} />` : null;
  };
}

function Missing() {
  return html`<p class="banner problem" role="alert">This part of the page could not be fetched: the collector does not answer.</p>`;
}
