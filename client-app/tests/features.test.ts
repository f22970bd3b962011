import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const TESTS = readFileSync(join(ROOT, 'src/services/tradingSystemWebSocket.test.ts'), 'utf8')
const NAMES = readFileSync(join(ROOT, 'README.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!---|\| )/.test(line))
  .map((line) => line.split('|')[3]?.trim() ?? '')
  .filter((name) => name && !name.includes('`'))

it('has a feature table to check', () => {
  expect(NAMES.length).toBeGreaterThan(15)
})

it.each(NAMES)('has the test that the feature table names: %s', (name) => {
  expect(TESTS).toContain(`it('${name}'`)
})
