// Hands and keys on the map: pan, zoom, lasso, the image under the pointer.
import { quadtree, select, zoom, zoomIdentity } from "../vendor/map.js";
import { corners } from "./points.js";

const NEAR = 12; // CSS pixels from a point that still mean it

export class Gestures {
  // acts: {lassoed(polygon), hovered(place, x, y), opened(place), moved(transform), cancelled()}
  constructor(painter, acts) {
    this.painter = painter;
    this.acts = acts;
    this.lassoing = false;
    this.behavior = zoom()
      .scaleExtent([0.5, 4000])
      .filter((event) => (event.type === "wheel" ? true : !event.button && !this.lassoing && !event.shiftKey))
      .on("zoom", ({ transform }) => {
        painter.transform = transform;
        painter.ask();
        acts.moved(transform);
      });
    this.canvas = select(painter.canvas);
    this.canvas.call(this.behavior).on("dblclick.zoom", null);
    this.bind(painter.canvas);
  }

  bind(canvas) {
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      this.pressed = at(event);
      if (event.button || !(this.lassoing || event.shiftKey)) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.painter.lasso = [at(event)];
    });
    canvas.addEventListener("pointermove", (event) => {
      const place = at(event);
      if (this.painter.lasso) {
        const last = this.painter.lasso.at(-1);
        if (Math.hypot(place[0] - last[0], place[1] - last[1]) > 2) this.painter.lasso.push(place);
        return this.painter.ask();
      }
      if (event.pointerType === "mouse" && !event.buttons) this.acts.hovered(this.nearest(place), ...place);
    });
    canvas.addEventListener("pointerleave", () => this.acts.hovered(-1));
    canvas.addEventListener("pointerup", () => {
      const shape = this.painter.lasso;
      if (!shape) return;
      this.painter.lasso = null;
      if (shape.length > 2) {
        this.acts.lassoed(corners(shape, 1).map((place) => this.square(place)));
      }
      this.painter.ask();
    });
    canvas.addEventListener("click", (event) => {
      const place = at(event);
      if (this.lassoing || event.shiftKey || Math.hypot(place[0] - this.pressed[0], place[1] - this.pressed[1]) > 4) return;
      const found = this.nearest(place);
      if (found >= 0) this.acts.opened(found);
    });
  }

  // After the points changed.
  index() {
    const { x, y } = this.painter.points;
    this.tree = quadtree(Uint32Array.from(x, (_, at) => at), (at) => x[at], (at) => y[at]);
  }

  // From CSS pixels to the square of the map.
  square([px, py]) {
    const { side, left, top } = this.painter.base;
    const { k, x, y } = this.painter.transform;
    return [((px - x) / k - left) / side, ((py - y) / k - top) / side];
  }

  nearest(place) {
    if (!this.tree) return -1;
    const [x, y] = this.square(place);
    const reach = NEAR / (this.painter.base.side * this.painter.transform.k);
    const found = this.tree.find(x, y, reach);
    return found === undefined || !this.painter.visible(found) ? -1 : found;
  }

  // The corners of what is in view, in the square.
  get view() {
    const { width, height } = this.painter.box;
    return [[0, 0], [width, 0], [width, height], [0, height]].map((place) => this.square(place));
  }

  // Drop a lasso that is not finished; false where there is none.
  drop() {
    const had = this.painter.lasso !== null;
    this.painter.lasso = null;
    this.painter.ask();
    return had;
  }

  pan(dx, dy) {
    const { k } = this.painter.transform;
    this.canvas.call(this.behavior.translateBy, dx / k, dy / k);
  }

  zoom(factor) {
    this.canvas.call(this.behavior.scaleBy, factor);
  }

  fit() {
    this.canvas.call(this.behavior.transform, zoomIdentity);
  }

  // Show a place of the square in the middle, `k` times as large as the whole.
  show(x, y, k) {
    const { side, left, top } = this.painter.base;
    const { width, height } = this.painter.box;
    const move = zoomIdentity.translate(width / 2 - k * (left + x * side), height / 2 - k * (top + y * side)).scale(k);
    this.canvas.call(this.behavior.transform, move);
  }

  // The place of the square in the middle of the view, and the scale.
  get middle() {
    const { width, height } = this.painter.box;
    return [...this.square([width / 2, height / 2]), this.painter.transform.k];
  }
}
