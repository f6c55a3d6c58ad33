// Exact decimal text: comparing, scaling and showing prices and quantities as they came from the wire.
// Never turns a price or a quantity into a float.

/** Splits `-12.340` into sign, integer digits without leading zeros, and fraction digits. */
function parts(text) {
  const negative = text.charCodeAt(0) === 45;
  const point = text.indexOf('.');
  const from = negative ? 1 : 0;
  const end = point < 0 ? text.length : point;
  let start = from;
  while (start < end - 1 && text.charCodeAt(start) === 48) start++;
  return { negative, whole: text.slice(start, end), fraction: point < 0 ? '' : text.slice(point + 1) };
}

/** -1, 0 or 1: exact order of two decimal texts, whatever their number of decimals. */
export function compareDecimals(left, right) {
  if (left === right) return 0;
  // The usual case, prices of one symbol: same length and same place of the dot, so that text order is number order.
  if (left.length === right.length && left.indexOf('.') === right.indexOf('.') && left[0] !== '-' && right[0] !== '-') {
    return left < right ? -1 : 1;
  }
  const a = parts(left);
  const b = parts(right);
  const decimals = Math.max(a.fraction.length, b.fraction.length);
  const aDigits = a.whole + a.fraction.padEnd(decimals, '0');
  const bDigits = b.whole + b.fraction.padEnd(decimals, '0');
  const aZero = isZero(aDigits);
  const bZero = isZero(bDigits);
  if (aZero && bZero) return 0;
  const aNegative = a.negative && !aZero;
  const bNegative = b.negative && !bZero;
  if (aNegative !== bNegative) return aNegative ? -1 : 1;
  let order = aDigits.length - bDigits.length;
  if (order === 0) order = aDigits < bDigits ? -1 : aDigits > bDigits ? 1 : 0;
  if (order === 0) return 0;
  return order < 0 === aNegative ? 1 : -1;
}

/** Whether a decimal text is zero: `0`, `0.00`, `-0`. */
export function isZero(text) {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 49 && code <= 57) return false;
  }
  return true;
}

/** How many decimals a decimal text shows. */
export function decimalsOf(text) {
  const point = text.indexOf('.');
  return point < 0 ? 0 : text.length - point - 1;
}

/** A decimal text as an integer count of 10^-decimals; digits below are cut off. */
export function toScaled(text, decimals) {
  const { negative, whole, fraction } = parts(text);
  const value = BigInt(whole + fraction.slice(0, decimals).padEnd(decimals, '0'));
  return negative ? -value : value;
}

/** The decimal text of an integer count of 10^-decimals. */
export function fromScaled(value, decimals) {
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(decimals + 1, '0');
  const cut = digits.length - decimals;
  const text = decimals === 0 ? digits : `${digits.slice(0, cut)}.${digits.slice(cut)}`;
  return negative ? `-${text}` : text;
}

/** Difference of two decimal texts, exact. */
export function subtract(left, right) {
  const decimals = Math.max(decimalsOf(left), decimalsOf(right));
  return fromScaled(toScaled(left, decimals) - toScaled(right, decimals), decimals);
}

/** Middle of two decimal texts; one more decimal where the half falls between two steps. */
export function middle(left, right) {
  const decimals = Math.max(decimalsOf(left), decimalsOf(right));
  const sum = toScaled(left, decimals) + toScaled(right, decimals);
  return sum % 2n === 0n ? fromScaled(sum / 2n, decimals) : fromScaled(sum * 5n, decimals + 1);
}

/** Change from `base` to `price` in hundredths of a percent, half away from zero; null without a base. */
export function changeBasisPoints(price, base) {
  const decimals = Math.max(decimalsOf(price), decimalsOf(base));
  const from = toScaled(base, decimals);
  if (from <= 0n) return null;
  const change = (toScaled(price, decimals) - from) * 20000n;
  const half = change < 0n ? -from : from;
  return (change + half) / (from * 2n);
}

/**
 * Separators and words of the two languages of the page. No unit may be mistaken for one of the other language: `B` alone would be
 * a thousand (bin) in Turkish and a billion in English.
 */
const STYLES = {
  tr: { group: '.', point: ',', units: ['', ' bin', ' mn', ' mr', ' trn'], percent: (text, sign) => `${sign}%${text}` },
  en: { group: ',', point: '.', units: ['', 'K', 'M', 'bn', 'tn'], percent: (text, sign) => `${sign}${text}%` },
};

function grouped(whole, separator) {
  if (whole.length <= 3) return whole;
  let out = whole.slice(0, whole.length % 3);
  for (let i = whole.length % 3; i < whole.length; i += 3) out += (out === '' ? '' : separator) + whole.slice(i, i + 3);
  return out;
}

/** `-1234.50` as `−1.234,50` (tr) or `−1,234.50` (en); exactly the decimals it came with. */
export function formatDecimal(text, language) {
  if (text === null || text === undefined || text === '') return '–';
  const style = STYLES[language];
  const { negative, whole, fraction } = parts(text);
  const sign = negative && !isZero(text) ? '−' : '';
  return sign + grouped(whole, style.group) + (fraction === '' ? '' : style.point + fraction);
}

/** How many decimals of a decimal text say something: 2 for `0.250`. */
export function significantDecimals(text) {
  const point = text.indexOf('.');
  if (point < 0) return 0;
  let end = text.length;
  while (end > point + 1 && text.charCodeAt(end - 1) === 48) end--;
  return end - point - 1;
}

/** Cuts zeros at the end that go beyond `decimals`; never a digit that says something. */
export function trimZeros(text, decimals) {
  if (text === null || text === undefined) return text;
  const have = decimalsOf(text);
  if (have <= decimals) return text;
  const keep = Math.max(decimals, significantDecimals(text));
  return keep === 0 ? text.slice(0, text.indexOf('.')) : text.slice(0, text.length - (have - keep));
}

/**
 * A price as people write it: with the decimals that the tick table of its symbol needs, though the wire may carry more
 * (`312.500` with a tick of `0.250` is 312.50).
 */
export function formatPrice(text, decimals, language) {
  return formatDecimal(trimZeros(text, decimals), language);
}

/** A signed change: `+1,25`, `−0,40`, `0,00`. */
export function formatSigned(text, language) {
  const sign = text.charCodeAt(0) !== 45 && !isZero(text) ? '+' : '';
  return sign + formatDecimal(text, language);
}

/** Hundredths of a percent as `+1,23`; with `withSign`, as `+%1,23` or `+1.23%`. */
export function formatBasisPoints(value, language, withSign = false) {
  if (value === null) return '–';
  const text = formatDecimal(fromScaled(value < 0n ? -value : value, 2), language);
  const sign = value > 0n ? '+' : value < 0n ? '−' : '';
  return withSign ? STYLES[language].percent(text, sign) : sign + text;
}

/** A count in at most four digits and a unit: `12,3 mn`, `1.25bn`; digits below are cut off. */
export function formatCompact(value, language) {
  if (value === null) return '–';
  const style = STYLES[language];
  const digits = value.toString();
  if (digits.length <= 4) return grouped(digits, style.group);
  const unit = Math.min(Math.floor((digits.length - 1) / 3), style.units.length - 1);
  const whole = digits.slice(0, digits.length - unit * 3);
  const fraction = digits.slice(whole.length, whole.length + Math.max(0, 3 - whole.length));
  return grouped(whole, style.group) + (fraction === '' ? '' : style.point + fraction) + style.units[unit];
}
