// How numbers are written: the same digits as the commands print.
const WHOLE = new Intl.NumberFormat("en");

export const count = (n) => (n === null || n === undefined ? "" : WHOLE.format(n));
export const counted = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
export const share = (x) => (x === null || x === undefined || Number.isNaN(x) ? "not defined" : x.toFixed(3));
export const signed = (x) => (x === null || x === undefined ? "not defined" : (x < 0 ? "−" : "+") + Math.abs(x).toFixed(3));
export const between = ({ low, high }, write = share) => (low === null || low === undefined ? "" : `${write(low)} to ${write(high)}`);

export function p(x) {
  if (x === null || x === undefined) return "";
  return x < 0.001 ? "< 0.001" : x.toFixed(3);
}

export const basename = (path) => path.split(/[/!]/).filter(Boolean).pop() ?? path;

export function bytes(n) {
  const unit = n < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return n < 1000 ? `${n} bytes` : `${(n / unit[0]).toFixed(1)} ${unit[1]}`;
}

// A word in a shell command, quoted only where it must be.
export const shell = (word) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${String(word).replaceAll("'", `'\\''`)}'`);
export const literal = (text) => `'${String(text).replaceAll("'", "''")}'`;
