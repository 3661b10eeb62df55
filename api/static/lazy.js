// Views that are not part of the first glance: fetched when they are first shown, or once the page is at rest.
import { useEffect, useState } from "./vendor/hooks.mjs";
import { html } from "./dom.js";

const AT_REST_MS = 1500;

export function lazy(load, name) {
  setTimeout(load, AT_REST_MS);
  return (props) => {
    const [found, setFound] = useState(null);
    useEffect(() => void load().then((module) => setFound(() => module[name])), []);
    return found ? html`<${found} ...${props} />` : null;
  };
}
