// Patches of a picture: which are painted, and as which cells. No DOM.

/** The cut to paint: a picture of a single tile has no thumbnail. 0: tiles, 1: thumbnail. */
export const kindOf = (image, paint) => {
  const wanted = paint === "thumbnail" ? 1 : 0;
  return image.thumbnail.includes(wanted) ? wanted : 1 - wanted;
};

/** Patches to cells: every edge of every painted patch cuts, so tiles and thumbnail can lie over each other. */
export function cellsOf(image, values, paint) {
  const picked = [];
  const wanted = kindOf(image, paint);
  const full = [0, 0]; // the largest patch of each kind: one cut off at the border weighs no more per pixel
  const edge = (v) => Math.round(v * 16) / 16; // float32 edges of neighbours may differ in the last bit
  image.token.forEach((_, p) => {
    const box = [...image.box.subarray(4 * p, 4 * p + 4)].map(edge);
    const kind = image.thumbnail[p];
    if (Number.isNaN(box[0])) return; // padding only: nothing of the picture to paint
    full[kind] = Math.max(full[kind], (box[2] - box[0]) * (box[3] - box[1]));
    if (paint === "both" || kind === wanted) picked.push([box, kind, values[p]]);
  });
  const sorted = (numbers) => [...new Set(numbers)].sort((a, b) => a - b);
  const xs = sorted(picked.flatMap(([box]) => [box[0], box[2]]));
  const ys = sorted(picked.flatMap(([box]) => [box[1], box[3]]));
  const column = new Map(xs.map((x, index) => [x, index]));
  const row = new Map(ys.map((y, index) => [y, index]));
  const across = Math.max(xs.length - 1, 0);
  const grid = new Float64Array(across * Math.max(ys.length - 1, 0));
  for (const [box, kind, value] of picked) {
    const weight = paint === "both" ? value / full[kind] : value;
    for (let y = row.get(box[1]); y < row.get(box[3]); y++) {
      for (let x = column.get(box[0]); x < column.get(box[2]); x++) grid[y * across + x] += weight;
    }
  }
  return { xs, ys, across, grid, peak: grid.reduce((a, b) => Math.max(a, b), 0) };
}

/** The patches of the painted cut that show a part of the picture: [{token, p, box}]. */
export function patchesOf(image, paint) {
  const wanted = kindOf(image, paint);
  const found = [];
  image.token.forEach((token, p) => {
    const box = image.box.subarray(4 * p, 4 * p + 4);
    if (image.thumbnail[p] === wanted && !Number.isNaN(box[0])) found.push({ token, p, box });
  });
  return found;
}

/** The patch of the painted cut at a place of the picture, or -1. */
export function patchAt(image, paint, x, y) {
  const found = patchesOf(image, paint).find(({ box }) => x >= box[0] && y >= box[1] && x < box[2] && y < box[3]);
  return found ? found.p : -1;
}

/** The neighbour of patch p in a direction (dx, dy of -1, 0, 1), or p itself at the border. */
export function neighbour(image, paint, p, dx, dy) {
  const [x0, y0, x1, y1] = image.box.subarray(4 * p, 4 * p + 4);
  const x = dx < 0 ? x0 - 1 : dx > 0 ? x1 + 1 : (x0 + x1) / 2;
  const y = dy < 0 ? y0 - 1 : dy > 0 ? y1 + 1 : (y0 + y1) / 2;
  const next = patchAt(image, paint, x, y);
  return next < 0 ? p : next;
}
