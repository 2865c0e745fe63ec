/**
 * Which jobs a worker runs: everything that `defineJob` made and a module exports, from files and folders (searched to the bottom, in
 * the order of their names). A module may also export what `defineWorker` made: at most one does.
 *
 * Invariant: what cannot be loaded, or would leave a job out, is an error with the file's name, never a job less.
 */
import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SignalboxError } from '../../kernel/error.ts'
import type { Job } from '../../jobs/define.ts'
import { isWorkerSetup, type WorkerSetup } from '../../jobs/setup.ts'

export interface Discovered {
  /** In the order of their names. */
  readonly jobs: readonly Job[]
  readonly setup: WorkerSetup<unknown> | undefined
  /** Where the setup stands. */
  readonly setupFile: string | undefined
}

/** What Node runs as it is; of tests and type declarations nothing is loaded. */
const MODULE = /(?<!\.(?:test|spec|d))\.(?:ts|mts|cts|js|mjs|cjs)$/

/**
 * @param paths files or folders, from `cwd`
 * @throws SignalboxError `invalid_argument` with the path: it is not there, cannot be loaded, has no job, or a name is taken twice
 */
export async function discoverJobs(paths: readonly string[], cwd: string): Promise<Discovered> {
  const jobs = new Map<string, { readonly job: Job; readonly file: string }>()
  let setup: { readonly value: WorkerSetup<unknown>; readonly file: string } | undefined
  const files = [...new Set(paths.flatMap((path) => modulesOf(path, cwd)))]
  for (const file of files) {
    for (const value of await exportsOf(file)) {
      if (isJob(value)) {
        const known = jobs.get(value.name)
        if (known !== undefined && known.job !== value) {
          throw invalid(`job ${value.name}: ${known.file} and ${file} both define it; rename one of them`)
        }
        jobs.set(value.name, known ?? { job: value, file })
      } else if (isWorkerSetup(value) && value !== setup?.value) {
        if (setup !== undefined) {
          throw invalid(`${setup.file} and ${file} both export what defineWorker made; a worker has one`)
        }
        setup = { value, file }
      }
    }
  }
  if (jobs.size === 0) {
    const what = files.length === 0 ? 'there is no module' : 'no module exports what defineJob made'
    throw invalid(`${paths.join(', ')}: ${what}; export each job: export const x = defineJob({ … })`)
  }
  const found = [...jobs.values()].map(({ job }) => job)
  return {
    jobs: found.sort((a, b) => (a.name < b.name ? -1 : 1)),
    setup: setup?.value,
    setupFile: setup?.file,
  }
}

function modulesOf(path: string, cwd: string): string[] {
  const full = resolve(cwd, path)
  const found = statSync(full, { throwIfNoEntry: false })
  if (found === undefined) throw invalid(`${path}: no such file or folder; name the modules of your jobs`)
  if (!found.isDirectory()) return [full]
  return readdirSync(full, { recursive: true, encoding: 'utf8' })
    .filter((name) => MODULE.test(name) && !name.split(/[\\/]/).includes('node_modules'))
    .sort()
    .map((name) => join(full, name))
}

async function exportsOf(file: string): Promise<readonly unknown[]> {
  try {
    const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>
    return Object.values(module)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause)
    throw new SignalboxError('invalid_argument', `${file}: cannot be loaded: ${why}`, { cause })
  }
}

/** By its shape: a project may have a second copy of the package. */
function isJob(value: unknown): value is Job {
  if (typeof value !== 'object' || value === null) return false
  const { name, queue, definition, enqueue } = value as Partial<Job>
  return (
    typeof name === 'string' &&
    typeof queue === 'string' &&
    typeof enqueue === 'function' &&
    typeof definition?.schema === 'object'
  )
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
