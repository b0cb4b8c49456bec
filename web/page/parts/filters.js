// Which images: by label, by what a run made of them, by SQL. Counts are of all images of the store.
import { html, useState } from "../vendor/ui.js";
import { offline, store } from "../api.js";
import { choose, chosen, go, state } from "../state.js";
import { count, counted } from "./format.js";

const MANY = 12;
const ORDERS = [["", "as indexed"], ["confidence", "most confident first"], ["margin", "furthest from the true class"]];

function Labels({ name, heading }) {
  const [typed, setTyped] = useState("");
  const values = Object.entries(store.value.labels[name] ?? {});
  if (values.length && store.value.unlabelled[name]) values.push(["", store.value.unlabelled[name]]);
  const picked = state.value[name];
  const shown = values.filter(([value]) => picked.includes(value) || value.toLowerCase().includes(typed.toLowerCase())).slice(0, 200);
  if (!values.length && !picked.length) return null;
  const toggle = (value) => go({ [name]: picked.includes(value) ? picked.filter((one) => one !== value) : [...picked, value], cell: "" });
  return html`<fieldset><legend>${heading}</legend>
    ${values.length > MANY && html`<input type="search" placeholder=${`Find among ${values.length}`} aria-label=${`Find a ${name}`} value=${typed} onInput=${(event) => setTyped(event.target.value)} />`}
    <div class="options">${shown.map(([value, n]) => html`<label key=${value}><input type="checkbox" checked=${picked.includes(value)} onChange=${() => toggle(value)} /><span>${value || html`<i>none</i>`}</span>${" "}<span class="count">${count(n)}</span></label>`)}</div>
  </fieldset>`;
}

function Outcome() {
  const { run, outcome, sort } = state.value;
  const runs = store.value.runs;
  if (!runs.length) return null;
  const choices = [["", "all"], ["right", "right"], ["wrong", "wrong"]];
  return html`<fieldset><legend>What a run made of them</legend>
    <label class="field"><span>Run</span><select value=${run} onChange=${(event) => go({ run: event.target.value, outcome: event.target.value ? outcome : "", cell: "", sort: "" })}>
      <option value="">none</option>${runs.map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select></label>
    ${run && html`<div class="segments" role="radiogroup" aria-label="Correctness">${choices.map(([value, words]) => html`<label><input type="radio" name="outcome" checked=${outcome === value} onChange=${() => go({ outcome: value, cell: "" })} /><span>${words}</span></label>`)}</div>`}
    ${run && html`<label class="field"><span>Order</span><select value=${sort} onChange=${(event) => go({ sort: event.target.value })}>${ORDERS.map(([value, words]) => html`<option value=${value}>${words}</option>`)}</select></label>`}
  </fieldset>`;
}

function Where() {
  const [typed, setTyped] = useState(state.value.where);
  const apply = (event) => {
    event.preventDefault();
    go({ where: typed.trim() });
  };
  return html`<form onSubmit=${apply}><fieldset><legend>SQL condition</legend>
    <input type="text" spellcheck=${false} autocomplete="off" placeholder="width > 400" aria-label="SQL condition over the columns of images" value=${typed} onInput=${(event) => setTyped(event.target.value)} onBlur=${apply} />
  </fieldset></form>`;
}

export function Filters() {
  const { where } = state.value;
  return html`<${Labels} name="category" heading="Category" /><${Labels} name="condition" heading="Condition" /><${Labels} name="split" heading="Split" />
    <${Outcome} />${!offline.answers && html`<${Where} key=${where} />`}`;
}

const CLEAR = { category: [], condition: [], split: [], outcome: "", cell: "", where: "", flip: "" };

// What narrows the images now, each with a way to drop it.
export function Chips() {
  const now = state.value;
  const chips = [];
  for (const name of ["category", "condition", "split"]) {
    for (const value of now[name]) chips.push([`${name}: ${value || "none"}`, () => go({ [name]: now[name].filter((one) => one !== value) })]);
  }
  if (now.cell) chips.push([cellWords(now.cell), () => go({ cell: "" })]);
  if (now.outcome) chips.push([`${now.outcome} in ${now.run}`, () => go({ outcome: "" })]);
  if (now.where) chips.push([now.where, () => go({ where: "" })]);
  if (chosen.value) chips.push([`${counted(chosen.value.length, "image")} chosen on the map`, () => choose(null)]);
  if (!chips.length) return null;
  return html`<ul class="chips" aria-label="Filters in use">
    ${chips.map(([words, drop]) => html`<li><button type="button" onClick=${drop} aria-label=${`Drop the filter ${words}`}>${words}<span aria-hidden="true"> ×</span></button></li>`)}
    ${chips.length > 1 && html`<li><button type="button" class="quiet" onClick=${() => (choose(null), go(CLEAR))}>Drop all</button></li>`}
  </ul>`;
}

// "cup>hat" in words.
export function cellWords(cell) {
  const [truth, predicted] = splitCell(cell);
  return truth === predicted ? `${truth} taken for ${predicted}, rightly` : `${truth} taken for ${predicted}`;
}

// Names may hold ">" themselves, so they are encoded.
export const joinCell = (truth, predicted) => [truth, predicted].map(encodeURIComponent).join(">");
export const splitCell = (cell) => cell.split(">").map(decodeURIComponent);
