/**
 * Bundles the GitHub Actions: `node tools/build-actions.mjs` writes `actions/<name>/dist`; with `--check` it builds into a temporary
 * folder and fails when what is committed differs.
 *
 * A bundle holds all that it runs, for a runner has no `npm install`: our sources, the packages they use, and the packages'
 * licences. It is split where the code imports dynamically, so that a step loads only the engine it uses. It is not minified:
 * what runs with a job's credentials is to be readable, and a runner fetches it compressed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))

/** Loaded by packages only if they are there. */
const OPTIONAL = ['supports-color']

const actions = [
  { name: 'turn', entries: ['main', 'post', 'agent'] },
  { name: 'lease', entries: ['main', 'post'] },
]

let stale = false
for (const action of actions) {
  const committed = join('actions', action.name, 'dist')
  if (!process.argv.includes('--check')) {
    rmSync(committed, { recursive: true, force: true })
    await build(action, committed)
    continue
  }
  const fresh = mkdtempSync(join(tmpdir(), 'signalbox-action-'))
  try {
    await build(action, fresh)
    const different = differences(fresh, committed)
    if (different.length > 0)
      console.error(`${committed} is not current (${different.join(', ')}); run: npm run build:actions`)
    stale ||= different.length > 0
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}
process.exitCode = stale ? 1 : 0

async function build({ name, entries }, folder) {
  const packages = new Set()
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [entry, `actions/${name}/src/${entry}.ts`])),
    cwd: root,
    platform: 'node',
    // A package asks for it and does without it; whether it is installed here must not matter.
    external: OPTIONAL,
    // The part of @actions/core that is not used would bring a second HTTP client along.
    treeshake: { moduleSideEffects: [{ test: /node_modules\/@actions\//, sideEffects: false }] },
    plugins: [fixedVersion(), commonJsPaths(), noting(packages)],
    logLevel: 'warn',
    onLog: (level, log, next) => next(level === 'warn' ? 'error' : level, log),
  })
  await bundle.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: (chunk) => `chunks/${packageName(chunk) ?? '[name]'}.mjs`,
    comments: { legal: false }, // licenses.txt has them all
  })
  await bundle.close()
  writeFileSync(join(folder, 'licenses.txt'), licences(sorted(packages)))
}

/** What a lazily loaded package is called in the bundle: `aws-sdk-client-dynamodb`. */
function packageName({ facadeModuleId }) {
  const [, scope = '', name] =
    /node_modules\/(?:@([^/]+)\/)?([^/]+)\/(?!.*node_modules\/)/.exec(facadeModuleId ?? '') ?? []
  return name === undefined ? undefined : scope === '' ? name : `${scope}-${name}`
}

/** The version of the package, which the sources read from a file that a bundle does not have. */
function fixedVersion() {
  return {
    name: 'fixed-version',
    load: {
      filter: { id: /[\\/]src[\\/]version\.ts$/ },
      handler: () => `export const version = ${JSON.stringify(version)}`,
    },
  }
}

/** CommonJS modules may ask for their own place; the bundle's is as good, for none may read a file from there. */
function commonJsPaths() {
  return {
    name: 'commonjs-paths',
    transform: {
      filter: { id: /node_modules/, code: /\b__(dirname|filename)\b/ },
      handler: (code) => `var __dirname = import.meta.dirname, __filename = import.meta.filename;\n${code}`,
    },
  }
}

/** In the same order on every machine. */
function sorted(texts) {
  return [...texts].sort((a, b) => (a < b ? -1 : 1))
}

/** Notes the packages that got into the bundle. */
function noting(packages) {
  return {
    name: 'noting-packages',
    generateBundle(_, output) {
      for (const chunk of Object.values(output)) {
        for (const id of chunk.type === 'chunk' ? chunk.moduleIds : []) {
          const path = relative(root, id.replace(/^\0/, '').replace(/\?.*$/, ''))
          const match = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path.split(sep).join('/'))
          if (match !== null) packages.add(match[0])
        }
      }
    },
  }
}

/** @returns a text with the name, version and licence of each package */
function licences(folders) {
  const parts = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const texts = sorted(readdirSync(folder))
      .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
      .map((file) => readFileSync(join(folder, file), 'utf8').trim())
    if (texts.length === 0) texts.push(`(${license}; the package carries no licence text)`)
    return `${name} ${version} (${license})\n\n${texts.join('\n\n')}\n`
  })
  return parts.join(`\n${'-'.repeat(80)}\n\n`)
}

function differences(fresh, committed) {
  const [ours, theirs] = [files(fresh), files(committed)]
  const names = new Set([...ours.keys(), ...theirs.keys()])
  return sorted(names).filter((name) => ours.get(name) !== theirs.get(name))
}

function files(folder) {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    return new Map(
      entries.map(({ parentPath, name }) => {
        const path = join(parentPath, name)
        return [relative(folder, path), readFileSync(path, 'utf8')]
      }),
    )
  } catch {
    return new Map()
  }
}
