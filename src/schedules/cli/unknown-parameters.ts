/** Warns of parameters that the job does not have: a misspelt one is no error, for the job's schema lets it pass, and nobody reads it. */
import { printWarning } from '../../cli/output.ts'
import type { SchedulesConnection, SchedulesContext } from '../../cli/schedules-context.ts'
import type { JobManifest } from '../../runs/api.ts'
import { parametersOf } from '../../runs/parameters.ts'
import type { Flags } from './command.ts'

/** What to warn of; undefined when all is known, or the job does not say. */
export function unknownParameters(
  job: Pick<JobManifest, 'name' | 'input' | 'secrets'>,
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  const known = parametersOf(job)?.map(({ name }) => name)
  const unknown = known === undefined ? [] : Object.keys(given).filter((name) => !known.includes(name))
  if (unknown.length === 0) return undefined
  const named = unknown.map((name) => `'${name.slice(0, 40)}'`).join(', ')
  const has = known === undefined || known.length === 0 ? 'none' : known.join(', ')
  return `job '${job.name}' does not have the parameter ${named}; it has ${has}`
}

/** Asks for the job, whatever comes of that. @param given the parameters that were written */
export async function warnOfUnknown(
  { stderr }: Pick<SchedulesContext, 'stderr'>,
  { json }: Flags,
  { runs }: Pick<SchedulesConnection, 'runs'>,
  { job, given }: { readonly job: string; readonly given: Readonly<Record<string, unknown>> | undefined },
): Promise<void> {
  if (json === true || given === undefined || Object.keys(given).length === 0) return
  const view = await runs.getJob(job).catch(() => undefined)
  const warning = view === undefined ? undefined : unknownParameters(view, given)
  if (warning !== undefined) printWarning(warning, { stderr })
}
