// What is vendored is what its page says: unchanged, licensed, named with version and checksum.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const vendor = new URL('../../../api/web/vendor/', import.meta.url);
const rows = [...readFileSync(new URL('README.md', vendor), 'utf8').matchAll(/^\| `([^`]+)` .*`([0-9a-f]{64})` \|$/gm)];

test('every vendored file has the checksum that is written down', () => {
  assert.equal(rows.length, 3);
  for (const [, file, sum] of rows) assert.equal(createHash('sha256').update(readFileSync(new URL(file, vendor))).digest('hex'), sum, file);
});

test('every folder has its licence, and no file is there that is not named', () => {
  for (const folder of readdirSync(vendor, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    assert.ok(existsSync(new URL(`${folder.name}/LICENSE`, vendor)), folder.name);
    for (const file of readdirSync(new URL(`${folder.name}/`, vendor))) {
      assert.ok(['LICENSE', 'NOTICE'].includes(file) || rows.some(([, name]) => name === `${folder.name}/${file}`), file);
    }
  }
});
