// The frame around the views: navigation, keys that work everywhere, images dropped or pasted.
import { html, render, useEffect, useState } from "./vendor/ui.js";
import { keepLooking, look, offline, store, trouble, useLoaded } from "./api.js";
import { VIEWS, follow, go, link, state } from "./state.js";
import { counted } from "./parts/format.js";
import { ImageDialog } from "./parts/image.js";
import { Trouble } from "./parts/problem.js";
import { Search, searchWith } from "./views/search.js";

// A view is loaded when somebody goes there; the SQL editor alone is as large as all the rest.
const LOADERS = {
  search: async () => Search,
  evaluate: async () => (await import("./views/evaluate.js")).Evaluate,
  live: async () => (await import("./views/live.js")).Live,
  map: async () => (await import("./views/map.js")).MapView,
  sql: async () => (await import("./views/sql.js")).Sql,
};

// What a view keeps when another is opened: the run, never an open image or the place on the map.
const LEAVE = { open: "", cell: "", at: "" };

function Top() {
  const { view } = state.value;
  const { images, encoders } = store.value ?? {};
  const views = Object.entries(VIEWS).filter(([name]) => !offline.answers || offline.answers.views.includes(name));
  return html`<header class="top">
    <a class="name" href=${link({ view: "search", ...LEAVE })} onClick=${follow({ view: "search", ...LEAVE })}><svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true"><rect width="32" height="32" rx="7" class="tile" /><rect x="7" y="8" width="11" height="7" rx="1.5" /><rect x="20" y="8" width="5" height="7" rx="1.5" opacity=".75" /><rect x="7" y="17" width="5" height="7" rx="1.5" opacity=".75" /><rect x="14" y="17" width="11" height="7" rx="1.5" /></svg>shotdex</a>
    <nav aria-label="Views">${views.map(([name, words]) => html`<a href=${link({ ...LEAVE, view: name })} onClick=${follow({ ...LEAVE, view: name })} aria-current=${view === name ? "page" : undefined}>${words}</a>`)}</nav>
    <p class="about">${store.value && html`<span data-count=${images}>${counted(images, "image")}</span><span class="muted"> · ${encoders[0]?.name ?? "no model"}</span>`}</p>
  </header>`;
}

function Shown() {
  const { view } = state.value;
  const { value: View, problem } = useLoaded(view, () => LOADERS[view]());
  const [dragged, setDragged] = useState(false);
  useEffect(() => {
    document.title = `${VIEWS[view]} · shotdex`;
  }, [view]);
  useEffect(() => {
    const over = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setDragged(event.type !== "dragleave" || event.relatedTarget !== null);
    };
    const drop = (event) => {
      event.preventDefault();
      setDragged(false);
      const file = [...event.dataTransfer.files].find((one) => one.type.startsWith("image/"));
      if (file) searchWith(file);
    };
    const paste = (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (!file) return;
      event.preventDefault();
      searchWith(file);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", over);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => [["dragover", over], ["dragleave", over], ["drop", drop], ["paste", paste]].forEach(([name, act]) => removeEventListener(name, act));
  }, []);
  return html`${dragged && html`<div class="drop" aria-hidden="true">Drop an image to search with it</div>`}
    <${Trouble} problem=${problem ?? trouble.value} />
    ${store.value && View && (store.value.images ? html`<${View} key=${view} />` : html`<${Nothing} />`)}`;
}

const Nothing = () => html`<div class="first"><h1>Nothing is indexed yet</h1><p>Index a folder of images; this page shows them as they come.</p><pre><code>shotdex index FOLDER</code></pre></div>`;

// The search view may still be on its way.
function focusSearch(frames) {
  const box = document.getElementById("search");
  if (box) box.focus();
  else if (frames) requestAnimationFrame(() => focusSearch(frames - 1));
}

function keys(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, dialog, [contenteditable], .editor")) return;
  event.preventDefault();
  if (state.value.view !== "search") go({ ...LEAVE, view: "search" });
  focusSearch(60);
}

function App() {
  return html`<a class="skip" href="#main">Skip to the content</a><${Top} /><main id="main" tabindex="-1"><${Shown} /></main><${ImageDialog} />`;
}

addEventListener("keydown", keys);
await look();
keepLooking();
render(html`<${App} />`, document.getElementById("page"));
