/** hidane, an emulator of Firestore without Java, compared by its makers with the official one: https://hidane.dev */
import { join } from 'node:path'
import { freePort } from '../processes.ts'
import { installedEngine, launch } from './launch.ts'

export interface FirestoreEngine {
  /** `host:port` */
  readonly host: string
  readonly stop: () => Promise<void>
}

/** @throws Error saying how to install it, unless it is there. */
export async function startHidane(): Promise<FirestoreEngine> {
  const folder = installedEngine('hidane')
  const port = await freePort()
  const binary = join(folder, 'bin', process.platform === 'win32' ? 'hidane.exe' : 'hidane')
  const args = ['--host', '127.0.0.1', '--port', String(port)]
  const stop = await launch('hidane', `http://127.0.0.1:${port}`, binary, args)
  return { host: `127.0.0.1:${port}`, stop }
}
