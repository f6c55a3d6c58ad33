// Names that may have been meant by one that does not exist. Pure.

const NEAR_MAX = 5;

/** Up to five of `symbols` that are nearest to `wanted` by edits, equal ones by name; none that has nothing in common with it. */
export function nearNames(wanted, symbols) {
  const most = Math.max(1, Math.floor(wanted.length / 2));
  return [...symbols]
    .map((symbol) => ({ symbol, edits: symbol.startsWith(wanted) && wanted !== '' ? 0.5 : edits(wanted, symbol, most) }))
    .filter(({ edits: count }) => count <= most)
    .sort((a, b) => a.edits - b.edits || (a.symbol < b.symbol ? -1 : 1))
    .slice(0, NEAR_MAX)
    .map(({ symbol }) => symbol);
}

/** Letters to change, put in or take out to make one name of the other; above `most` it is `most + 1`. */
function edits(left, right, most) {
  if (Math.abs(left.length - right.length) > most) return most + 1;
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (left[i - 1] === right[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[right.length];
}
