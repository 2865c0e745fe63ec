/**
 * Imported into a process under measurement (`node --import`): tells its CPU time, of all its threads, when its parent asks
 * over IPC.
 */
export interface Usage {
  /** Microseconds since its start. */
  readonly cpu: number
}

export function usage(): Usage {
  const { user, system } = process.cpuUsage()
  return { cpu: user + system }
}

process.on('message', (asked) => {
  if (asked === 'usage') process.send?.(usage())
})
// With its parent gone nobody would end it.
process.on('disconnect', () => process.exit())
process.channel?.unref()
