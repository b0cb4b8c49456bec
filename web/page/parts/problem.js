import { html } from "../vendor/ui.js";

export function Trouble({ problem }) {
  if (!problem) return null;
  return html`<div class="trouble" role="alert"><b>${problem.message}</b>${problem.hint && html`<span>${problem.hint}</span>`}</div>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;
