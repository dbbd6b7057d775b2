// Colours that can be told apart by everybody: dichromatic vision is simulated.
//
// Matrices for full severity on linear RGB: Machado, Oliveira and Fernandes, "A Physiologically-based Model for
// Simulation of Color Vision Deficiency", IEEE TVCG 15 (2009). Distances in OKLab (Ottosson, 2020), where 0.02 is
// about the least that is seen.

import assert from "node:assert/strict";
import { test } from "node:test";

import { NO, PALETTE, YES, amount, inkOn } from "../../workbench/view/js/colours.js";

const VISIONS = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
};

const linear = (rgb) => rgb.map((byte) => {
  const share = byte / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
});
const times = (matrix, vector) => matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i], 0));
const seen = (rgb, vision) => times(VISIONS[vision], linear(rgb)).map((v) => Math.min(Math.max(v, 0), 1));

function oklab(rgb) {
  const cones = times([
    [0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005]], rgb).map(Math.cbrt);
  return times([
    [0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.808675766]], cones);
}
const luminance = (rgb) => times([[0.2126, 0.7152, 0.0722]], linear(rgb))[0];
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

for (const vision of Object.keys(VISIONS)) {
  const least = (count) => {
    const places = PALETTE.slice(0, count).map((rgb) => oklab(seen(rgb, vision)));
    return Math.min(...places.flatMap((p, i) => places.slice(0, i).map((q) => Math.hypot(...p.map((v, k) => v - q[k])))));
  };

  test(`experts differ in colour for ${vision} vision`, () => {
    assert.ok(least(8) > 0.1, `8: ${least(8)}`);
    assert.ok(least(16) > 0.08, `16: ${least(16)}`);
  });

  for (const theme of ["light", "dark"]) {
    test(`more is always darker or always lighter for ${vision} vision on a ${theme} page`, () => {
      const lightness = Array.from({ length: 51 }, (_, i) => oklab(seen(amount(i / 50, theme), vision))[0]);
      const steps = lightness.slice(1).map((value, i) => (value - lightness[i]) * (theme === "dark" ? 1 : -1));
      assert.ok(steps.every((step) => step > 0), `${steps}`);
    });

    test(`yes and no are far apart for ${vision} vision on a ${theme} page`, () => {
      const [yes, no] = [YES, NO].map((share) => oklab(seen(amount(share, theme), vision))[0]);
      assert.ok(Math.abs(yes - no) > 0.4);
    });
  }
}

test("numbers on any colour can be read", () => {
  const grounds = [...PALETTE, ...["light", "dark"].flatMap((theme) => [0, 0.3, 0.5, 0.7, 1].map((v) => amount(v, theme)))];
  for (const rgb of grounds) {
    const ink = inkOn(rgb) === "#000" ? 0 : 1;
    assert.ok(contrast(ink, luminance(rgb)) >= 4.5, `${rgb}`);
  }
});
