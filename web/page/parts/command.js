// "As a command": what to type for the numbers in view, on a command line and as SQL.
import { html, useState } from "../vendor/ui.js";

function Line({ name, text }) {
  const [said, say] = useState("Copy");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("Select and copy by hand");
    }
    setTimeout(() => say("Copy"), 2000);
  };
  return html`<div class="line"><span class="muted">${name}</span><pre tabindex="0"><code>${text}</code></pre>
    <button type="button" class="quiet" onClick=${copy} aria-label=${`Copy the ${name} line`}>${said}</button></div>`;
}

export function AsCommand({ command, sql }) {
  return html`<details class="command"><summary>As a command</summary>
    ${command && html`<${Line} name="shell" text=${command} />`}
    ${sql && html`<${Line} name="SQL" text=${sql} />`}
  </details>`;
}
