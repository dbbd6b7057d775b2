// Colours: one ramp for every amount, sixteen for experts, and which ink can be read on them.
//
// The ramp has one hue and its lightness only ever rises or falls, so it stays ordered in print and for every kind
// of colour vision. Colour is never the only carrier: numbers, outlines and tables say the same.

/** OKLCH to sRGB bytes: equal steps look equal. */
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

/** As one pixel of an ImageData, on the little-endian machines that browsers run on. */
const pixel = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/** As far apart as possible for normal, protan, deutan and tritan vision; each is the farthest from those before. */
export const PALETTE = [
  [49, 209, 190], [85, 53, 154], [180, 74, 25], [142, 116, 223], [233, 140, 10], [243, 224, 86], [125, 51, 78],
  [72, 112, 147], [31, 248, 250], [166, 162, 254], [45, 164, 162], [191, 233, 177], [186, 125, 87],
  [217, 183, 121], [118, 75, 188], [156, 17, 18],
];
/** More experts than that are told apart by number: a hue for each would be noise. */
export const MANY_EXPERTS = PALETTE.length;
export const EXPERT_PIXELS = Uint32Array.from(PALETTE, pixel);

const STEPS = 255;
const stepped = (colour) => Array.from({ length: STEPS + 1 }, (_, step) => colour(step / STEPS));
const RAMPS = {
  light: stepped((share) => oklch(0.95 - 0.6 * share, 0.02 + 0.12 * share, 265)),
  dark: stepped((share) => oklch(0.3 + 0.6 * share, 0.03 + 0.09 * share, 265)),
};
const PIXELS = { light: Uint32Array.from(RAMPS.light, pixel), dark: Uint32Array.from(RAMPS.dark, pixel) };

const step = (share) => Math.round(STEPS * Math.min(Math.max(share, 0), 1));

/** The colour of an amount from 0 to 1, in a theme. */
export const amount = (share, theme) => RAMPS[theme][step(share)];
export const amountPixel = (share, theme) => PIXELS[theme][step(share)];

const STOPS = [0, 0.25, 0.5, 0.75, 1];

/** The ramp, up to an amount, as a CSS gradient. */
export const gradient = (theme, end = 1) =>
  `linear-gradient(to right, ${STOPS.map((share) => css(amount(end * share, theme))).join(", ")})`;

/** Where the ramp ends behind words: farther on they would be hard to read. */
export const TINTED = 0.5;

// places on the ramp for "yes", "no" and "neither", far enough apart to be told at a glance
export const YES = 0.85;
export const NO = 0.08;
export const ASIDE = 0.38;

/** Black or white: the one that is easier to read on a colour (WCAG's relative luminance). */
export function inkOn(rgb) {
  const [red, green, blue] = rgb.map((byte) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
