/** `npm run build`: compiles src/ to dist/ and copies what is not TypeScript (the console's files). */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)
rmSync('dist', { recursive: true, force: true })
execFileSync('tsc', ['--project', 'tsconfig.build.json'], { stdio: 'inherit' })
cpSync('src/server/console/assets', 'dist/server/console/assets', { recursive: true })
cpSync('src/voting/http/page', 'dist/voting/http/page', { recursive: true })
chmodSync('dist/cli/main.js', 0o755)
