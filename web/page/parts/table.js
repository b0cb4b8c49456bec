// A table that scrolls by itself where the page is too narrow, reachable by keyboard.
import { html, useId, useLayoutEffect, useRef, useState } from "../vendor/ui.js";

export function Scroll({ label, children, className = "" }) {
  const ref = useRef();
  const [wide, setWide] = useState(false);
  useLayoutEffect(() => {
    const measure = () => setWide(ref.current && ref.current.scrollWidth > ref.current.clientWidth + 1);
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(ref.current);
    return () => watch.disconnect();
  }, []);
  const reach = wide ? { tabindex: 0, role: "region", "aria-label": label } : {};
  return html`<div class="scroll ${className}" ref=${ref} ...${reach}>${children}</div>`;
}

// columns: [{head, cell: (row) => child, number, row (a row's heading)}]
export function Table({ caption, columns, rows, className = "" }) {
  const id = useId();
  return html`<p class="caption" id=${id}>${caption}</p><${Scroll} label=${caption}><table class=${className} aria-labelledby=${id}>
    <thead><tr>${columns.map((column) => html`<th scope="col" class=${column.number ? "number" : ""}>${column.head}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.key} class=${row.className ?? ""}>
      ${columns.map((column) => (column.row ? html`<th scope="row">${column.cell(row)}</th>` : html`<td class=${column.number ? "number" : ""}>${column.cell(row)}</td>`))}
    </tr>`)}</tbody>
  </table><//>`;
}
