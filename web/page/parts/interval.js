// Bars of estimates: a point, its interval, the baseline as a dashed line. Each stands next to its numbers in a table.
import { html } from "../vendor/ui.js";
import { between, share, signed } from "./format.js";

const x = (value, low, high, width) => (4 + (width - 8) * ((value - low) / (high - low))).toFixed(2);

// estimates: [{value, low, high, kind}]; marks: [{value, name}] on an axis from `low` to `high`.
export function Bar({ estimates, marks = [], low = 0, high = 1, zero, width = 160 }) {
  const shown = estimates.filter((one) => one && Number.isFinite(one.value));
  const height = 8 + 10 * Math.max(1, estimates.length);
  const at = (value) => x(Math.min(high, Math.max(low, value)), low, high, width);
  return html`<svg class="bar" viewBox="0 0 ${width} ${height}" width=${width} height=${height} aria-hidden="true">
    <line class="axis" x1="4" x2=${width - 4} y1=${height - 2} y2=${height - 2} />
    ${zero !== undefined && html`<line class="axis" x1=${at(zero)} x2=${at(zero)} y1="0" y2=${height} />`}
    ${[0.25, 0.5, 0.75].map((part) => html`<line class="axis" x1=${x(part, 0, 1, width)} x2=${x(part, 0, 1, width)} y1=${height - 4} y2=${height - 2} />`)}
    ${shown.map((one, row) => {
      const y = 6 + 10 * row;
      return html`<g class=${one.kind ?? "first"}>
        ${Number.isFinite(one.low) && html`<line class="interval" x1=${at(one.low)} x2=${at(one.high)} y1=${y} y2=${y} />`}
        <circle cx=${at(one.value)} cy=${y} r="3.4" />
      </g>`;
    })}
    ${marks.filter((mark) => Number.isFinite(mark.value)).map((mark) => html`<line class="mark" x1=${at(mark.value)} x2=${at(mark.value)} y1="0" y2=${height - 2}><title>${mark.name}</title></line>`)}
  </svg>`;
}

// "0.700 (0.648 to 0.748; n = 320)"
export function Number_({ estimate, difference = false, stacked = false }) {
  const write = difference ? signed : share;
  if (!estimate) return html`<span class="muted">none</span>`;
  return html`<span class=${`estimate${stacked ? " stacked" : ""}`} title=${estimate.method}><b>${write(estimate.value)}</b>${" "}<span class="muted">${between(estimate, write)}</span></span>`;
}
