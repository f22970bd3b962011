import { defineConfig } from 'vite'

/**
 * Members that only the client's own files know. They are written short: what a page, the wire or the browser knows by
 * name is not among them.
 */
const INTERNAL =
  /^(createdAt|openedAt|sent|links|settled|holdUntil|allow|received|probe|lost|beat|silence|listeners|rows|isReady|left|period|wide|askedAt|notBefore|resolve|reject|listen|body|callback)$/

/** The client on its own: one ES module without dependencies. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'dist/client',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: 'src/services/tradingSystemWebSocket.ts',
      preserveEntrySignatures: 'strict',
      output: {
        entryFileNames: 'tradingSystemWebSocket.js',
        minify: { compress: true, mangle: true, codegen: true, mangleProps: { include: INTERNAL } },
      },
    },
  },
})
