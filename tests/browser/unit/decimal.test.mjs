// Exact decimals and their two ways of being written.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as decimal from '../../../api/web/js/decimal.js';

test('order does not depend on the number of decimals', () => {
  const cases = [['1', '1.00', 0], ['9.99', '10.00', -1], ['10.00', '9.99', 1], ['-1.00', '1.00', -1], ['-2.00', '-1.00', -1], ['0.00', '-0.00', 0], ['007', '7', 0],
    ['99999999999999999999.01', '99999999999999999999.02', -1]];
  for (const [left, right, order] of cases) {
    assert.equal(decimal.compareDecimals(left, right), order, `${left} ${right}`);
    assert.equal(decimal.compareDecimals(right, left), -order + 0, `${right} ${left}`);
  }
});

test('sums and halves are exact beyond 2^53', () => {
  assert.equal(decimal.subtract('90071992547409930.02', '0.01'), '90071992547409930.01');
  assert.equal(decimal.subtract('1.00', '2.5'), '-1.50');
  assert.equal(decimal.middle('312.50', '312.75'), '312.625');
  assert.equal(decimal.middle('312.50', '313.00'), '312.75');
  assert.equal(decimal.middle('-0.02', '0.01'), '-0.005');
});

test('change in hundredths of a percent, half away from zero', () => {
  assert.equal(decimal.changeBasisPoints('312.50', '310.00'), 81n);
  assert.equal(decimal.changeBasisPoints('100.005', '100.00'), 1n);
  assert.equal(decimal.changeBasisPoints('99.995', '100.00'), -1n);
  assert.equal(decimal.changeBasisPoints('1.00', '0.00'), null);
});

test('numbers are written as the language writes them', () => {
  assert.equal(decimal.formatDecimal('1234567.50', 'tr'), '1.234.567,50');
  assert.equal(decimal.formatDecimal('1234567.50', 'en'), '1,234,567.50');
  assert.equal(decimal.formatDecimal('-0.05', 'tr'), '−0,05');
  assert.equal(decimal.formatDecimal('-0.00', 'en'), '0.00');
  assert.equal(decimal.formatDecimal(null, 'en'), '–');
  assert.equal(decimal.formatSigned('2.50', 'tr'), '+2,50');
  assert.equal(decimal.formatSigned('0.00', 'tr'), '0,00');
  assert.equal(decimal.formatBasisPoints(81n, 'tr', true), '+%0,81');
  assert.equal(decimal.formatBasisPoints(-81n, 'en', true), '−0.81%');
  assert.equal(decimal.formatBasisPoints(0n, 'en'), '0.00');
  assert.equal(decimal.formatCompact(9_999n, 'en'), '9,999');
  assert.equal(decimal.formatCompact(12_345n, 'en'), '12.3K');
  assert.equal(decimal.formatCompact(1_234_567n, 'tr'), '1,23 mn');
  assert.equal(decimal.formatCompact(567_439_600n, 'en'), '567M');
  assert.equal(decimal.formatCompact(12_345_678_901n, 'tr'), '12,3 mr');
  assert.equal(decimal.formatCompact(12_345n, 'tr'), '12,3 bin');
  assert.equal(decimal.formatCompact(12_345_678_901n, 'en'), '12.3bn');
});

test('zeros that the tick does not need are not shown; digits always are', () => {
  assert.equal(decimal.formatPrice('312.500', 2, 'tr'), '312,50');
  assert.equal(decimal.formatPrice('312.505', 2, 'en'), '312.505');
  assert.equal(decimal.formatPrice('2113.000', 0, 'en'), '2,113');
  assert.equal(decimal.formatPrice('2113', 2, 'en'), '2,113');
  assert.equal(decimal.formatPrice('-0.050', 2, 'en'), '−0.05');
  assert.equal(decimal.formatPrice(null, 2, 'en'), '–');
  assert.deepEqual(['0.250', '1', '0.010', '0.125', '5.000'].map(decimal.significantDecimals), [2, 0, 2, 3, 0]);
});

test('no unit of one language can be taken for another one', () => {
  const units = (language) => [12_345n, 1_234_567n, 1_234_567_890n, 1_234_567_890_123n].map((value) => decimal.formatCompact(value, language).replace(/[\d.,\s]/g, ''));
  assert.deepEqual(units('tr'), ['bin', 'mn', 'mr', 'trn']);
  assert.deepEqual(units('en'), ['K', 'M', 'bn', 'tn']);
});
