import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const here = import.meta.dirname;
const built = resolve(here, "../nereus/api/web");

/** Files that the build is made of; tests/api/web/test_build.py hashes the same ones. */
const sources = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "public", "src"];

function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => files(join(path, name)));
}

const hashed = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

const listed = (root: string, paths: string[]) =>
  Object.fromEntries(
    paths
      .map((path) => [relative(root, path).split(sep).join("/"), hashed(path)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

/** Writes build.json: hashes of the source that was built and of the files that came out. */
function manifest(): Plugin {
  return {
    name: "manifest",
    apply: "build",
    closeBundle() {
      const made = files(built).filter((path) => !path.endsWith("build.json"));
      const document = {
        source: listed(here, sources.flatMap((name) => files(join(here, name)))),
        built: listed(built, made),
      };
      writeFileSync(join(built, "build.json"), `${JSON.stringify(document, null, 1)}\n`);
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [react(), manifest()],
  build: {
    outDir: built,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8642" } },
});
