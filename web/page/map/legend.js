// The colours of the map; each can be hidden.
import { html } from "../vendor/ui.js";
import { count } from "../parts/format.js";

const SHOWN = 60;

export function Legend({ kinds, hidden, onHidden, name }) {
  const toggle = (code) => {
    const next = new Set(hidden);
    if (!next.delete(code)) next.add(code);
    onHidden(next);
  };
  const only = (code) => onHidden(new Set(kinds.map((_, one) => one).filter((one) => one !== code)));
  return html`<fieldset class="legend"><legend>${name}</legend>
    <div class="options">${kinds.slice(0, SHOWN).map((kind, code) => html`<label key=${kind.name} onDblClick=${() => only(code)}><input type="checkbox" checked=${!hidden.has(code)} onChange=${() => toggle(code)} />
      <span class="swatch-name"><i style=${{ background: kind.colour }}></i>${kind.name}</span>${" "}<span class="count">${count(kind.n)}</span></label>`)}</div>
    ${kinds.length > SHOWN && html`<p class="muted">and ${count(kinds.length - SHOWN)} more, in grey</p>`}
    ${hidden.size > 0 && html`<button type="button" class="quiet" onClick=${() => onHidden(new Set())}>Show all</button>`}
  </fieldset>`;
}
