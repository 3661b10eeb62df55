// Asks for the bearer token where the collector wants one. It stays in this tab.
import { html } from "../dom.js";
import { unlock } from "../model.js";
import { keepToken, token } from "../rest.js";

export function Lock() {
  const enter = (event) => {
    event.preventDefault();
    keepToken(event.target.elements.token.value.trim());
    unlock();
  };
  return html`<main class="lock"><form onSubmit=${enter}>
    <h1>NetScope</h1>
    <label for="token">This collector asks for a token</label>
    <input id="token" name="token" type="password" autocomplete="off" autofocus required />
    <button class="primary">Open</button>
    ${token() && html`<p class="refused" role="alert">The collector refused the last token.</p>`}
    <p class="dim">It is in the file that --token-file names. It is kept in this tab only.</p>
  </form></main>`;
}
