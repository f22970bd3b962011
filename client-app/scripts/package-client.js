/**
 * Finish dist/client: check the client's size, describe its types, and make it a package that `npm pack` can pack.
 *
 * Fails if the module is larger than 4,096 bytes gzipped.
 */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const LIMIT = 4_096
const FOLDER = new URL('../dist/client/', import.meta.url)
const MODULE = 'tradingSystemWebSocket'

const { version, license } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const size = gzipSync(readFileSync(new URL(`${MODULE}.js`, FOLDER)), { level: 9 }).length

writeFileSync(
  new URL(`${MODULE}.d.ts`, FOLDER),
  `export * from './types/services/${MODULE}.js'\nexport { default } from './types/services/${MODULE}.js'\n`,
)
writeFileSync(
  new URL('package.json', FOLDER),
  JSON.stringify(
    {
      name: 'tickwire-client',
      version,
      description: 'Live market data over one WebSocket that stays',
      license,
      type: 'module',
      sideEffects: false,
      exports: { types: `./${MODULE}.d.ts`, default: `./${MODULE}.js` },
      types: `./${MODULE}.d.ts`,
      files: [`${MODULE}.js`, `${MODULE}.d.ts`, 'types'],
    },
    null,
    2,
  ) + '\n',
)
copyFileSync(new URL('../README.md', import.meta.url), new URL('README.md', FOLDER))
copyFileSync(new URL('../../LICENSE', import.meta.url), new URL('LICENSE', FOLDER))

console.log(`tradingSystemWebSocket.js: ${size} of at most ${LIMIT} bytes gzipped`)
if (size > LIMIT) process.exit(1)
