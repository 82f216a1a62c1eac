import { defineConfig } from "vite";

// The hub's client as others take it: one ES module without dependencies, beside the web app.
export default defineConfig({
  build: {
    outDir: "dist/hub-client",
    emptyOutDir: true,
    target: "es2022",
    lib: { entry: "src/hub/index.ts", formats: ["es"], fileName: () => "index.js" },
  },
});
