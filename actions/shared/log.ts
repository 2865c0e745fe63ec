/**
 * What actions say in the job's log.
 *
 * Invariant: text from elsewhere (labels of other members, reasons, a server's message) is never read as a command by the
 * runner, which takes `::name::` at the start of a line and `##[name]` anywhere in it
 * (github.com/actions/runner, src/Runner.Common/ActionCommand.cs).
 */
import { debug, endGroup, info, startGroup, summary, warning } from '@actions/core'
import type { Output } from '../../src/cli/context.ts'

/** One line, or several, that the runner only prints. */
export function say(text: string): void {
  info(harmless(text))
}

/** A fold of the log for what is said while waiting; without any of it there is none. A quiet log keeps it for debugging. */
export function progressFold(
  title: string,
  { quiet = false } = {},
): { readonly output: Output; close(): void } {
  let open = false
  const write = (text: string): void => {
    if (quiet) {
      debug(harmless(text.trimEnd()))
      return
    }
    if (!open) startGroup(title)
    open = true
    say(text.trimEnd())
  }
  return { output: { write }, close: () => (open ? endGroup() : undefined) }
}

/** A line on the page of the run. One that cannot be written is no reason to fail a step. */
export async function summarise(line: string): Promise<void> {
  if (!process.env['GITHUB_STEP_SUMMARY']) return
  try {
    await summary.addRaw(line, true).write()
  } catch (error) {
    warning(`the job summary could not be written (${(error as Error).message})`)
  }
}

function harmless(text: string): string {
  return text.replaceAll('##[', '# #[').replaceAll(/^(\s*)::/gm, '$1: :')
}
