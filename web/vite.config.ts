import { defineConfig } from "vitest/config";

// Where `vite` in development finds a running server; the built app is served by the server itself.
const server = process.env["HANAMICHI_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // One image or font inlined is one request fewer; hashed files are immutable.
    assetsInlineLimit: 8192,
    chunkSizeWarningLimit: 1600,
  },
  // The contract and its examples are read by tests.
  server: { fs: { allow: [".", "../proto"] }, proxy: { "/v1": { target: server, ws: true } } },
  test: { environment: "happy-dom", include: ["test/**/*.test.{ts,tsx}"] },
});
