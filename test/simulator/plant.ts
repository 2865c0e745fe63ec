/** Plants a fault into the code under test: changes the source of one module while it is loaded, in this process only. */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutants.ts'

const root = new URL('../../', import.meta.url)

/** Call before the code under test is loaded. @throws when a snippet is not found exactly once */
export function plant(mutant: Mutant): void {
  const sources = mutate(mutant)
  registerHooks({
    load(url, context, nextLoad) {
      const source = sources.get(url)
      return source === undefined
        ? nextLoad(url, context)
        : { format: 'module-typescript', shortCircuit: true, source }
    },
  })
}

/** The changed modules, by URL. */
export function mutate({ name, edits }: Mutant): Map<string, string> {
  const sources = new Map<string, string>()
  for (const { file, find, replace } of edits) {
    const url = new URL(file, root).href
    const source = sources.get(url) ?? readFileSync(fileURLToPath(url), 'utf8')
    const found = source.split(find).length - 1
    if (found !== 1) throw new Error(`mutant ${name}: ${found} times in ${file}, not once:\n${find}`)
    sources.set(
      url,
      source.replace(find, () => replace),
    )
  }
  return sources
}
