// The points of a map, and which of them a lasso holds; the address keeps a lasso as the map's number and its corners.
import { bytes } from "../api.js";
import { polygonContains, tableFromIPC } from "../vendor/map.js";

export async function points(id, options) {
  const table = tableFromIPC(new Uint8Array(await bytes(`maps/${id}`, {}, options)));
  const column = (name, kind) => kind.from(table.getChild(name).toArray());
  return { ids: column("image_id", Int32Array), x: column("x", Float32Array), y: column("y", Float32Array) };
}

// Points in a square from 0 to 1, so that a transform or a lasso means the same for every map.
export function squared({ ids, x, y }) {
  const span = (values) => [values.reduce((low, value) => Math.min(low, value), Infinity), values.reduce((high, value) => Math.max(high, value), -Infinity)];
  const [left, right] = span(x);
  const [low, high] = span(y);
  const side = Math.max(right - left, high - low) || 1;
  const scale = { left: (left + right - side) / 2, low: (low + high - side) / 2, side };
  return { points: { ids, x: x.map((value) => (value - scale.left) / side), y: y.map((value) => 1 - (value - scale.low) / side) }, scale };
}

// The places of the points in a polygon of the square, rising.
export function inside({ x, y }, polygon, visible = () => true) {
  const [xs, ys] = [polygon.map((one) => one[0]), polygon.map((one) => one[1])];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let at = 0; at < x.length; at++) {
    if (x[at] < left || x[at] > right || y[at] < top || y[at] > bottom || !visible(at)) continue;
    if (polygonContains(polygon, [x[at], y[at]])) found.push(at);
  }
  return found;
}

// The corners of a drawn shape: what is within a distance of the straight line between two others is left out.
export function corners(shape, apart) {
  const [first, last] = [shape[0], shape.at(-1)];
  const [dx, dy] = [last[0] - first[0], last[1] - first[1]];
  const length = Math.hypot(dx, dy);
  const off = ([x, y]) => (length ? Math.abs(dy * (x - first[0]) - dx * (y - first[1])) / length : Math.hypot(x - first[0], y - first[1]));
  const distances = shape.map(off);
  const most = distances.reduce((best, one, at) => (one > distances[best] ? at : best), 0);
  if (distances[most] <= apart) return [first, last];
  return [...corners(shape.slice(0, most + 1), apart).slice(0, -1), ...corners(shape.slice(most), apart)];
}

export const writeLasso = (map, polygon) => `${map}:${polygon.flat().map((one) => one.toFixed(4)).join(",")}`;

// {map, polygon}, or null where the text is no lasso.
export function readLasso(text) {
  const [map, said = ""] = text.split(":");
  const numbers = said.split(",").map(Number);
  if (!map || numbers.length < 6 || numbers.length % 2 || !numbers.every(Number.isFinite)) return null;
  return { map, polygon: Array.from({ length: numbers.length / 2 }, (_, at) => [numbers[2 * at], numbers[2 * at + 1]]) };
}

// The ids of the images in a lasso of the address.
export async function imagesIn(text) {
  const lasso = readLasso(text);
  if (!lasso) return null;
  const found = squared(await points(lasso.map)).points;
  return inside(found, lasso.polygon).map((at) => found.ids[at]).sort((a, b) => a - b);
}
