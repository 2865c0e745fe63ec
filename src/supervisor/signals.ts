/** The signals that end a command of ours which runs another: taken while it runs, given back afterwards. */

export type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGQUIT'

/** Calls `take` for each such signal from now on. @returns a function that gives them back */
export type SignalListener = (take: (name: EndSignal) => void) => () => void

const NUMBERS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1, SIGQUIT: 3 } as const satisfies Record<EndSignal, number>

/** As a shell reports a process that this signal ended. */
export function exitCodeOf(name: EndSignal): number {
  return 128 + NUMBERS[name]
}

/** The signals sent to this process. */
export const processSignals: SignalListener = (take) => {
  const names = Object.keys(NUMBERS) as EndSignal[]
  const listeners = names.map((name) => [name, () => take(name)] as const)
  for (const [name, listener] of listeners) process.on(name, listener)
  return () => {
    for (const [name, listener] of listeners) process.removeListener(name, listener)
  }
}
