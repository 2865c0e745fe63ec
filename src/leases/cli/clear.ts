/** `lease clear`: an operator's last resort, so it asks for a reason, as `turn evict` does. */
import type { ConnectOptions } from '../../cli/context.ts'
import { invalidInput } from '../../cli/inputs.ts'
import { providerLabel, type LeasesApi } from '../api.ts'
import { providerArgument } from './request.ts'
import { providerJson, shortSha } from './views.ts'

export interface ClearFlags extends Pick<ConnectOptions, 'url' | 'dataDir'> {
  readonly reason?: string
  readonly json?: true
}

type Env = Readonly<Record<string, string | undefined>>

const MAX_REASON = 500

/** Checks, and returns what is to be done at the server. @throws SignalboxError `invalid_argument` */
export function clear(text: string, flags: ClearFlags, env: Env): (leases: LeasesApi) => Promise<string> {
  const provider = providerArgument(text, env)
  const reason = (flags.reason ?? '').trim()
  if (reason === '' || reason.length > MAX_REASON) {
    throw invalidInput(
      'reason',
      `--reason: missing or longer than ${MAX_REASON} characters; say why in a few words`,
    )
  }
  return async (leases) => {
    const before = await leases.show(provider)
    const after = await leases.clear(provider, { by: 'the command line', reason })
    if (flags.json === true) return `${JSON.stringify(providerJson(after))}\n`
    const { holder, known } = before
    const what =
      holder === undefined
        ? requests(known.length)
        : `the lease of ${shortSha(holder.sha)} and ${requests(known.length - 1, 'other ')}`
    return `${providerLabel(provider)}: cleared, ${what} forgotten\n`
  }
}

function requests(number: number, which = ''): string {
  return `${number} ${which}${number === 1 ? 'request' : 'requests'}`
}
