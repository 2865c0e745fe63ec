#!/usr/bin/env node
// `signalbox` inside a clone: runs the TypeScript sources on the Node.js pinned beside this file.
// The published package ships compiled JavaScript instead (package.json "bin").
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  process.stderr.write(
    `signalbox: needs Node.js 24 or newer, this is ${process.versions.node}; run it through 'npx signalbox' or 'npm start', or install Node.js 24\n`,
  )
  process.exit(69)
}
// Keeps the stripped and compiled sources between starts: about half the start-up time.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/signalbox', import.meta.url)))
await import('../../src/cli/main.ts')
