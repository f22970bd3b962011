import { defineConfig } from 'vite'

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
      output: { entryFileNames: 'tradingSystemWebSocket.js', minify: true },
    },
  },
})
