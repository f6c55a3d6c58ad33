// Personal numbers before they are sent: the check digits of a T.C. identity number, the form of a Turkish telephone number. Pure;
// the server decides, this only spares a round trip.

/** Whether eleven digits are a T.C. identity number: not beginning with 0, tenth and eleventh digit following from the others. */
export function isTckn(text) {
  if (!/^[1-9]\d{10}$/.test(text)) return false;
  const digits = [...text].map(Number);
  const sum = (list) => list.reduce((total, digit) => total + digit, 0);
  const odd = sum([0, 2, 4, 6, 8].map((at) => digits[at]));
  const even = sum([1, 3, 5, 7].map((at) => digits[at]));
  return (((odd * 7 - even) % 10) + 10) % 10 === digits[9] && sum(digits.slice(0, 10)) % 10 === digits[10];
}

/** `+905321234567` of the ways in which people write it (`0532 123 45 67`, `532-…`, `0090…`), or null where it is none. */
export function phoneOf(text) {
  const bare = text.replace(/[\s().-]/g, '');
  const match = /^(?:\+90|0090|90|0)?([2-5]\d{9})$/.exec(bare);
  return match === null ? null : `+90${match[1]}`;
}
