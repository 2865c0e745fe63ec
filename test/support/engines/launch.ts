/** Where the engines of tests come from, and how one is started and waited for. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, until, type Running } from '../processes.ts'

/** @throws Error saying how to install it, unless it is there. */
export function installedEngine(name: string): string {
  const folder = join(root, '.engines', name)
  if (!existsSync(join(folder, '.version'))) {
    throw new Error(`the engine ${name} is not installed; run: node tools/engines/install.mjs ${name}`)
  }
  return folder
}

/** Starts an engine and waits until it answers HTTP, with whatever status. @returns how to stop it */
export async function launch(
  name: string,
  endpoint: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<() => Promise<void>> {
  const running: Running = run(command, args, { env: { ...process.env, ...env } })
  const stop = async (): Promise<void> => {
    running.kill('SIGKILL')
    await running.exited
  }
  try {
    await until(`${name} answers at ${endpoint}`, async () => {
      if (running.child.exitCode !== null) throw new Error(`${name} ended: ${running.err()}`)
      return fetch(endpoint, { signal: AbortSignal.timeout(1_000) }).then(
        () => true,
        () => false,
      )
    })
  } catch (error) {
    await stop()
    throw error
  }
  return stop
}
