// Which category is taken for which: a table of buttons; each opens the images behind its number.
import { html, useId, useRef } from "../vendor/ui.js";
import { count, signed } from "./format.js";
import { Scroll } from "./table.js";

export const cellName = (truth, predicted, n) => (truth === predicted ? `${truth} recognised: ${count(n)}` : `${truth} taken for ${predicted}: ${count(n)}`);

// Arrow keys walk through the cells, as in a spreadsheet.
function useWalk() {
  const table = useRef();
  const walk = (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const here = document.activeElement?.dataset.cell;
    if (!step || !here) return;
    event.preventDefault();
    let [row, column] = here.split(",").map(Number);
    for (;;) {
      row += step[0];
      column += step[1];
      if (!table.current.querySelector(`[data-place="${row},${column}"]`)) return;
      const next = table.current.querySelector(`[data-cell="${row},${column}"]`);
      if (next) return next.focus();
    }
  };
  return { table, walk };
}

// matrix: {truths, classes, cells}, cells[truth][class]; `before` subtracts another one. onCell(truth, predicted).
export function Confusion({ matrix, before, caption, picked, onCell }) {
  const { table, walk } = useWalk();
  const id = useId();
  const { truths, classes, cells } = matrix;
  const totals = cells.map((row) => row.reduce((sum, n) => sum + n, 0));
  const most = before ? Math.max(1, ...cells.flatMap((row, i) => row.map((n, j) => Math.abs(n - before.cells[i][j])))) : 1;
  const cell = (i, j) => {
    const n = cells[i][j];
    const old = before?.cells[i][j] ?? 0;
    if (!n && !old) return html`<span class="none" data-place=${`${i},${j}`}>·</span>`;
    const change = n - old;
    const strength = before ? (80 * Math.abs(change)) / most : 12 + (78 * n) / totals[i];
    const same = truths[i] === classes[j];
    const good = before ? (change > 0) === same : same;
    const words = before ? `${truths[i]} taken for ${classes[j]}: ${count(old)} before, ${count(n)} now` : cellName(truths[i], classes[j], n);
    const shade = before && !change ? 0 : Math.round(strength);
    if (!onCell) return html`<span class=${`number-cell ${good ? "right" : "wrong"}${shade >= 50 ? " deep" : ""}`} style=${{ "--s": shade >= 50 ? 100 : shade }} title=${words}>${count(n)}</span>`;
    return html`<button type="button" class=${`${good ? "right" : "wrong"}${shade >= 50 ? " deep" : ""}`} style=${{ "--s": shade >= 50 ? 100 : shade }} data-place=${`${i},${j}`} data-cell=${`${i},${j}`}
      aria-label=${words} title=${words} aria-pressed=${picked ? String(picked[0] === truths[i] && picked[1] === classes[j]) : undefined}
      onClick=${() => onCell(truths[i], classes[j])}>${before ? (change ? signed(change).replace(/\.000$/, "") : "0") : count(n)}</button>`;
  };
  return html`<p class="caption" id=${id}>${caption}</p><${Scroll} label=${caption}><table class="confusion" aria-labelledby=${id} ref=${table} onKeyDown=${walk}>
    <thead><tr><td></td>${classes.map((name) => html`<th scope="col"><span title=${name}>${name}</span></th>`)}<th scope="col"><span>images</span></th></tr></thead>
    <tbody>${truths.map((truth, i) => html`<tr key=${truth}><th scope="row" title=${truth}>${truth}</th>
      ${classes.map((_, j) => html`<td>${cell(i, j)}</td>`)}<td class="total-cell">${count(totals[i])}</td></tr>`)}</tbody>
  </table><//>`;
}
