/**
 * Plays scenarios against the real server (`startServer`) on a socket, with a data directory of its own and a clock that
 * only the scenario moves.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '../../../src/kernel/id.ts'
import { ManualClock } from '../../../src/kernel/manual-clock.ts'
import { loadConfig } from '../../../src/server/config/load.ts'
import { createLogger } from '../../../src/server/logger.ts'
import { startServer, type RunningServer } from '../../../src/server/serve.ts'
import {
  configText,
  START_MS,
  type Player,
  type Scenario,
  type WireRequest,
  type WireResponse,
} from './scenario.ts'

export async function playerOverHttp(scenario: Scenario): Promise<Player> {
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-lease-'))
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true })
  try {
    await writeFile(join(directory, 'leases.yaml'), configText(scenario))
    const clock = new ManualClock(START_MS)
    const start = async (): Promise<RunningServer> => {
      const { config } = await loadConfig({
        cwd: directory,
        env: scenario.env ?? {},
        file: 'leases.yaml',
        flags: { dataDir: join(directory, 'data'), 'server.port': '0', 'log.level': 'silent' },
      })
      const logger = createLogger(config.log, false)
      return startServer(config, { clock, random: seededRandom(1), logger, command: 'vectors' })
    }
    let server = await start()
    return {
      advance: (ms) => clock.advance(ms),
      async restart() {
        await server.close()
        server = await start()
      },
      send: (request) => send(server.address.port, request),
      async close() {
        await server.close()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** One request on a connection of its own; the target goes out as it is written. */
function send(port: number, { method, path, body, raw_body, headers }: WireRequest): Promise<WireResponse> {
  const text = raw_body ?? (body === undefined ? undefined : JSON.stringify(body))
  const sent: Record<string, string> = { connection: 'close' }
  if (text !== undefined) {
    sent['content-type'] = 'application/json'
    sent['content-length'] = String(Buffer.byteLength(text))
  }
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value === null) delete sent[name.toLowerCase()]
    else sent[name.toLowerCase()] = value
  }
  return new Promise((resolve, reject) => {
    const call = httpRequest(
      { host: '127.0.0.1', port, method, path, headers: sent, agent: false },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const { statusCode = 0, headers: received } = answer
          resolve({ status: statusCode, headers: received, text: Buffer.concat(chunks).toString('utf8') })
        })
      },
    )
    call.on('error', reject)
    call.end(text)
  })
}
