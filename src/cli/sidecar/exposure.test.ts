/** A sidecar asks nobody who they are; so it listens beyond its machine only where something else keeps others out. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { sidecarSettings, type SidecarFlags } from './settings.ts'

/** Any file will do for a certificate here. */
const pem = join(import.meta.dirname, 'exposure.test.ts')
const tls = { tlsCert: pem, tlsKey: pem, tlsClientCa: pem }
const host = '0.0.0.0'

function settings(flags: SidecarFlags): string {
  return sidecarSettings(flags, { env: {}, cwd: '/' }).address
}

it.each<[string, SidecarFlags]>([
  ['loopback', { httpPort: '0' }],
  ['a Unix socket', { host, socket: '/run/signalbox.sock' }],
  ['gRPC that asks for certificates', { host, ...tls }],
  ['a network that is said to be protected', { host, insecure: true, httpPort: '0' }],
])('listens on %s', (_, flags) => {
  expect(settings(flags)).not.toBe('')
})

it.each<[string, SidecarFlags]>([
  ['gRPC', { host }],
  ['gRPC with TLS for everybody', { host, tlsCert: pem, tlsKey: pem }],
  ['HTTP beside a Unix socket', { host, socket: '/run/signalbox.sock', httpPort: '0' }],
  ['HTTP beside gRPC that asks for certificates', { host, ...tls, httpPort: '0' }],
])('refuses to expose %s', (_, flags) => {
  expect(() => settings(flags)).toThrow(/^--host: 0\.0\.0\.0 is not of this machine alone, .* or --insecure/)
})
