// Drawn here, so that they look alike whatever fonts there are. They say nothing: the button's name does.
import { html } from "./dom.js";

const PATHS = {
  copy: "M5 5V2.5h8.5V11H11M2.5 5H11v8.5H2.5z", wall: "M2 3h12v8H2zM6 14h4M8 11v3", theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  help: "M5.6 6a2.4 2.4 0 1 1 3.4 2.2c-.7.3-1 .8-1 1.6M8 12.6v.1", close: "M4 4l8 8M12 4l-8 8", pause: "M5.5 3v10M10.5 3v10", play: "M5 3l8 5-8 5z", link: "M6.5 9.5l3-3M7 4.5l1.2-1.2a2.6 2.6 0 0 1 3.7 3.7L10.7 8.2M9 11.5l-1.2 1.2a2.6 2.6 0 0 1-3.7-3.7l1.2-1.2",
};

export const Icon = ({ name }) => html`<svg class="ic" viewBox="0 0 16 16" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
