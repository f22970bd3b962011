import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { faultOfRequest, isServerMessage } from './protocol'

interface Example {
  name: string
  direction: 'client' | 'server'
  valid: boolean
  error?: string
  message?: unknown
  text?: string
}

const FOLDER = join(import.meta.dirname, '../../tests/messages')
const EXAMPLES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Example)

const textOf = (example: Example): string => example.text ?? JSON.stringify(example.message)
const those = (direction: string, valid: boolean): Example[] =>
  EXAMPLES.filter((example) => example.direction === direction && example.valid === valid)

/** What only a server can know: its instruments, and how deep its reader goes. */
const ONLY_THE_SERVER_KNOWS = ['unknown-symbol', 'nested-too-deep']

describe('the wire as tests/messages has it', () => {
  it('has examples of every kind', () => {
    for (const direction of ['client', 'server']) {
      for (const valid of [true, false]) expect(those(direction, valid).length).toBeGreaterThan(3)
    }
  })

  it.each(those('server', true))('reads $name', (example) => {
    expect(isServerMessage(JSON.parse(textOf(example)))).toBe(true)
  })

  it.each(those('server', false))('takes $name for no message', (example) => {
    expect(isServerMessage(JSON.parse(textOf(example)))).toBe(false)
  })

  it.each(those('client', true))('may send $name', (example) => {
    expect(faultOfRequest(textOf(example))).toBeNull()
  })

  it.each(those('client', false).filter(({ name }) => !ONLY_THE_SERVER_KNOWS.includes(name)))(
    'would be refused $name with $error',
    (example) => {
      expect(faultOfRequest(textOf(example))).toBe(example.error)
    },
  )
})
