import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const FOLDERS = [join(ROOT, 'src/services'), join(ROOT, 'tests')]
const TESTS = FOLDERS.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8')),
).join('\n')
const NAMES = readFileSync(join(ROOT, 'README.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!---|\| )/.test(line))
  .map((line) => line.split('|')[3]?.trim() ?? '')
  .filter((name) => name && !name.includes('`'))

it('has a feature table to check', () => {
  expect(NAMES.length).toBeGreaterThan(20)
})

it.each(NAMES)('has the test that the feature table names: %s', (name) => {
  expect(TESTS).toMatch(new RegExp(`it(\\.skipIf\\(.*\\))?\\('${name.replace(/[.*+?()]/g, '\\$&')}'`))
})
