import { copyFileSync, mkdirSync } from 'node:fs'

import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vite'

/** Every view is a file of its own, so that a host which only serves files answers its address too. */
const views: Plugin = {
  name: 'views',
  apply: 'build',
  closeBundle() {
    for (const view of ['market', 'analysis']) {
      mkdirSync(`dist/${view}`, { recursive: true })
      copyFileSync('dist/index.html', `dist/${view}/index.html`)
    }
  },
}

export default defineConfig({
  plugins: [vue(), views],
  build: {
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.md' },
  },
  server: {
    // `npm run dev` beside `tickwire up` on its usual port.
    proxy: { '/ws': { target: 'ws://127.0.0.1:8000', ws: true } },
  },
})
