/** `signalbox audit`: who did what, newest first. */
import { Command } from 'commander'
import type { AuditEntryView, AuditPage } from '../server/auth/api.ts'
import { printable } from './text.ts'
import { wholeNumber } from './inputs.ts'
import { adminOptions, asAdmin, type AdminFlags } from './admin.ts'
import { table } from './output.ts'
import type { Terminal } from './terminal.ts'

interface AuditFlags extends AdminFlags {
  readonly limit?: string
}

const DEFAULT_LIMIT = 50
const PAGE = 1_000

export function auditCommand(terminal: Terminal): Command {
  const { stdout } = terminal
  const command = new Command('audit').description('Show who did what, newest first; 90 days are kept')
  return adminOptions(command)
    .option('--limit <number>', `at most so many entries (default: ${DEFAULT_LIMIT})`)
    .action(async (flags: AuditFlags) => {
      const limit =
        flags.limit === undefined
          ? DEFAULT_LIMIT
          : wholeNumber(flags.limit, { flag: '--limit', min: 1, max: 1_000_000 })
      const { entries, next } = await newest(terminal, flags, limit)
      if (flags.json === true) stdout.write(`${JSON.stringify({ entries, next })}\n`)
      else if (entries.length === 0) stdout.write('Nothing has been recorded yet.\n')
      else stdout.write(table([HEAD, ...entries.map(row)]))
    })
}

const HEAD = ['TIME', 'ACTOR', 'ACTION', 'TARGET', 'REASON']

async function newest(terminal: Terminal, flags: AuditFlags, limit: number): Promise<AuditPage> {
  return asAdmin(terminal, flags, async (access) => {
    const entries: AuditEntryView[] = []
    for (let after: string | undefined; ;) {
      const page = await access.readAudit({
        limit: Math.min(PAGE, limit - entries.length),
        ...(after === undefined ? {} : { after }),
      })
      entries.push(...page.entries)
      after = page.next
      if (after === undefined || entries.length >= limit) {
        return { entries, ...(after === undefined ? {} : { next: after }) }
      }
    }
  })
}

function row({ at, actor, action, target, reason = '' }: AuditEntryView): string[] {
  const time = `${at.slice(0, 19).replace('T', ' ')}Z`
  return [time, ...[actor, action, target, reason].map(printable)]
}
