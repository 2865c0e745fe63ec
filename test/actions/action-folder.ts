/** An action as a runner has it: its folder alone, with nothing of this checkout around it. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { root } from '../support/processes.ts'

export type ActionName = 'turn' | 'lease'

interface ActionFile {
  readonly inputs: Readonly<Record<string, { readonly default?: string }>>
  readonly outputs: Readonly<Record<string, object>>
  readonly runs: {
    readonly using: string
    readonly main: string
    readonly post: string
    readonly 'post-if': string
  }
}

export interface ActionFolder {
  readonly path: string
  readonly file: ActionFile
}

/** What expressions of `action.yml` stand for at the moment a step begins. */
export interface Contexts {
  readonly jobStatus: string
}

export const GITHUB_TOKEN = 'ghs_of_the_job'
const folders = new Map<ActionName, ActionFolder>()

/** A copy of `actions/<name>` in a place where no folder above has a `node_modules`. Removed when this process ends. */
export function actionFolder(name: ActionName): ActionFolder {
  const folder = folders.get(name) ?? copy(name)
  folders.set(name, folder)
  return folder
}

function copy(name: ActionName): ActionFolder {
  const path = join(mkdtempSync(join(tmpdir(), 'signalbox-action-')), name)
  process.on('exit', () => rmSync(dirname(path), { recursive: true, force: true }))
  for (const part of ['action.yml', 'dist']) {
    cpSync(join(root, 'actions', name, part), join(path, part), { recursive: true })
  }
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules'))) throw new Error(`${folder} has a node_modules`)
  }
  return { path, file: parse(readFileSync(join(path, 'action.yml'), 'utf8')) as ActionFile }
}

/** INPUT_… of the step's environment, defaults filled in: for the main step and, anew, for the post step. */
export function inputEnvironment(
  { file }: ActionFolder,
  given: Readonly<Record<string, string>>,
  { jobStatus }: Contexts,
): Record<string, string> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(file.inputs, name)) throw new Error(`the action has no input '${name}'`)
  }
  return Object.fromEntries(
    Object.entries(file.inputs).map(([name, { default: usual = '' }]) => [
      `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`,
      given[name] ??
        usual.replace('${{ github.token }}', GITHUB_TOKEN).replace('${{ job.status }}', jobStatus),
    ]),
  )
}
