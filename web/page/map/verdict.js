// What is special about the chosen images: accuracy inside against outside, and what they show more often than the rest.
import { html } from "../vendor/ui.js";
import { post, store, useLoaded } from "../api.js";
import { choose, chosen, follow, link } from "../state.js";
import { count, counted, share } from "../parts/format.js";
import { Number_ } from "../parts/interval.js";
import { Trouble } from "../parts/problem.js";
import { Table } from "../parts/table.js";

export function Verdict({ run }) {
  const ids = chosen.value;
  const key = ids ? JSON.stringify([ids, run, store.value.generation]) : null;
  const { value, problem } = useLoaded(key, (options) => post("selection", { deltas: ids.map((id, at) => id - (at ? ids[at - 1] : 0)), run: run || null }, options));
  if (!ids) return html`<div class="verdict-box"><h2>Selection</h2><p class="muted">Draw a lasso around images, or select what is in view, to see what is special about them.</p></div>`;
  const gallery = { view: "search", open: "", at: "", text: [], minus: [], image: "", cell: "" };
  return html`<div class="verdict-box"><h2>${counted(ids.length, "image")} selected</h2>
    <p class="actions"><a class="button" href=${link(gallery)} onClick=${follow(gallery)}>See them as a gallery</a><button type="button" onClick=${() => choose(null)}>Clear</button></p>
    <${Trouble} problem=${problem} />
    ${value?.sentence && html`<p class="sentence">${value.sentence}</p>`}
    ${value?.inside && html`<dl class="facts"><div><dt>Inside</dt><dd><${Number_} estimate=${value.inside} /> of ${count(value.inside.n)}</dd></div>
      <div><dt>Outside</dt><dd><${Number_} estimate=${value.outside} /> of ${count(value.outside.n)}</dd></div>
      <div><dt>Difference</dt><dd><${Number_} estimate=${value.difference} difference /></dd></div></dl>`}
    ${value?.labels?.length > 0 && html`<${Table} caption="What the selection holds" rows=${value.labels.map((one) => ({ ...one, key: one.label + one.value }))} columns=${[
      { head: "label", row: true, cell: (row) => row.value ?? "none" },
      { head: "inside", number: true, cell: (row) => count(row.inside) },
      { head: "share", number: true, cell: (row) => share(row.share_inside) },
      { head: "elsewhere", number: true, cell: (row) => share(row.share_outside) },
    ]} />`}
  </div>`;
}
