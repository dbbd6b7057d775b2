// Colours of experts and gates.

/** OKLCH to sRGB bytes: equal steps look equal, so a ramp stays ordered in black and white. */
function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((v) => {
    const clipped = Math.min(Math.max(v, 0), 1);
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  });
}
export const css = ([red, green, blue], alpha = 1) => `rgb(${red} ${green} ${blue} / ${alpha})`;
export const MANY_EXPERTS = 16;

/** Neighbouring experts differ in lightness too: hue is never the only difference, nor the only carrier. */
export function expertColour(expert, experts) {
  const hue = experts <= MANY_EXPERTS ? (expert * 360) / Math.max(experts, 1) + 25 : expert * 137.508;
  return oklch([0.58, 0.72, 0.86][expert % 3], 0.12, hue);
}
// places on the gate's ramp for "the same expert" and "another"
export const SAME = 0.85;
export const OTHER = 0.08;
export const inkOn = (rgb) => (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140 ? "#111" : "#fff");
export const gateColour = (gate, dark) =>
  dark ? oklch(0.3 + 0.6 * gate, 0.03 + 0.09 * gate, 265) : oklch(0.95 - 0.6 * gate, 0.02 + 0.12 * gate, 265);
