/**
 * Projects: `unit` next to the code (manual clock), `architecture`, the `simulator` of turn
 * queues, and the suites under test/ that start real processes.
 * `npm test` runs all of them that need nothing but npm; `system` (traces of system calls, full disks) needs Debian
 * packages and runs by `npm run test:system`; `engines` runs the drivers against heavier engines, which
 * `npm run test:engines` installs; `actions` plays the bundles of the GitHub Actions as a runner does (`npm run test:actions`).
 */
import { defineConfig } from 'vitest/config'

const real = { testTimeout: 180_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 30_000, hookTimeout: 60_000 } },
      { test: { name: 'architecture', include: ['test/architecture.test.ts'] } },
      {
        test: {
          name: 'real',
          include: ['test/{races,docs,deploy,package,leases}/**/*.test.ts'],
          ...real,
          // Each file starts processes of its own; two at once would fight for two cores.
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'simulator',
          include: ['test/simulator/**/*.test.ts'],
          testTimeout: 300_000,
          // Each file uses two processes of its own.
          fileParallelism: false,
        },
      },
      {
        test: { name: 'actions', include: ['test/actions/**/*.test.ts'], ...real, fileParallelism: false },
      },
      {
        test: { name: 'engines', include: ['test/engines/**/*.test.ts'], ...real, fileParallelism: false },
      },
      { test: { name: 'system', include: ['test/system/**/*.test.ts'], ...real, fileParallelism: false } },
    ],
  },
})
