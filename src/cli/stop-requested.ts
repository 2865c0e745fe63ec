/** How a process that serves is asked to stop. */

const SIGNALS = { SIGTERM: 15, SIGINT: 2 } as const

/** Resolves at the first signal to stop; a second one ends the process where it stands. */
export function stopRequested(): Promise<void> {
  return new Promise((stop) => {
    let asked = false
    for (const [signal, number] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        if (asked) process.exit(128 + number)
        asked = true
        stop()
      })
    }
  })
}
