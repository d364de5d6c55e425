// Numbers on axes and in tooltips as core/numbers.py writes them: three significant digits, the unit chosen after rounding.
const UNITS = {
  "en": [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]],
  "zh-CN": [[1e12, "万亿"], [1e8, "亿"], [1e4, "万"]],
};
const LENGTHS = {
  "en": [[86400, " d"], [3600, " h"], [60, " min"], [1, " s"], [0.001, " ms"]],
  "zh-CN": [[86400, "天"], [3600, "小时"], [60, "分钟"], [1, "秒"], [0.001, "毫秒"]],
};
const POINTS = { "en": " pp", "zh-CN": " 个百分点" };
const MISSING = "–", MINUS = "−";

export function compact(value, locale) {
  if (value === null || !Number.isFinite(value)) return MISSING;
  const rounded = significant(Math.abs(value));
  for (const [size, suffix] of UNITS[locale]) if (rounded >= size) return signed(trim(significant(rounded / size)) + suffix, value);
  return signed(trim(rounded), value);
}

export function shown(value, unit, locale) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  if (unit === "ratio" || unit === "change") return signed(`${(Math.abs(value) * 100).toFixed(1)}%`, value, unit === "change");
  if (unit === "difference") return signed((Math.abs(value) * 100).toFixed(1) + POINTS[locale], value, true);
  if (unit === "seconds") return seconds(value, locale);
  if (unit === "count") return signed(Math.abs(Math.round(value)).toLocaleString("en-US"), value);
  return signed(Math.abs(value).toLocaleString("en-US", { maximumSignificantDigits: Math.abs(value) >= 1000 ? 21 : 4, maximumFractionDigits: 2 }), value);
}

export function tick(value, unit, locale) {
  if (unit !== "seconds" && Math.abs(value) < 10) { // ticks are round: as many digits as they have, or neighbours read alike
    const percent = unit === "ratio" || unit === "change" || unit === "difference";
    const written = trim(Number((percent ? Math.abs(value) * 100 : Math.abs(value)).toPrecision(6)));
    return signed(written + (unit === "difference" ? POINTS[locale] : percent ? "%" : ""), value, unit === "difference");
  }
  if (unit === "ratio" || unit === "change") return signed(`${trim(significant(Math.abs(value) * 100))}%`, value);
  if (unit === "difference") return signed(trim(significant(Math.abs(value) * 100)) + POINTS[locale], value, true);
  return unit === "seconds" ? seconds(value, locale) : compact(value, locale);
}

export function seconds(value, locale) {
  if (value === 0) return `0${LENGTHS[locale][3][1]}`;
  for (const [size, suffix] of LENGTHS[locale]) {
    if (Math.abs(value) >= size || size === 0.001) return signed(trim(significant(Math.abs(value) / size)) + suffix, value);
  }
}

const significant = (value) => (value === 0 ? 0 : Number(value.toPrecision(3)));
const trim = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 10 });
const signed = (text, value, plus = false) => (value < 0 && /[1-9]/.test(text) ? MINUS + text : plus && value > 0 ? `+${text}` : text);
