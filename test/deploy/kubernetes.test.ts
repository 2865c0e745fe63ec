/**
 * The Kubernetes manifests of the message sidecar: a native sidecar whose flags it understands, whose probes ask where it listens, whose
 * grace fits into the pod's, and which has no more rights than it needs. As written always; as rendered where kubectl is installed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { sidecarCommand } from '../../src/cli/sidecar.ts'
import { sidecarSettings, type SidecarSettings } from '../../src/cli/sidecar/settings.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { root } from '../support/processes.ts'

const folder = join(root, 'deploy/kubernetes/sidecar')
const overlays = ['embedded', 'embedded-volume', 'sqs']

interface Probe {
  readonly exec?: { readonly command: readonly string[] }
  readonly periodSeconds: number
  readonly timeoutSeconds: number
}
interface Variable {
  readonly name: string
  readonly value?: string
}
interface Container {
  readonly name: string
  readonly image: string
  readonly imagePullPolicy: string
  readonly restartPolicy?: string
  readonly args?: readonly string[]
  readonly env?: readonly Variable[]
  readonly envFrom?: readonly {
    readonly configMapRef?: { readonly name: string }
    readonly secretRef?: { readonly name: string; readonly optional?: boolean }
  }[]
  readonly startupProbe?: Probe
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>
    readonly limits: { readonly memory: string }
  }
  readonly securityContext: object
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
}
interface Pod {
  readonly serviceAccountName: string
  readonly automountServiceAccountToken: boolean
  readonly enableServiceLinks: boolean
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: object
  readonly initContainers: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes?: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[]
  readonly hostNetwork?: boolean
  readonly hostPID?: boolean
  readonly shareProcessNamespace?: boolean
}
interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec: {
    readonly replicas: number
    readonly strategy?: { readonly type: string }
    readonly template: {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
      readonly spec: Pod
    }
  }
}

function parsed(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    expect(document.errors).toEqual([])
    return document.toJS() as Manifest
  })
}

function files(name: string): Manifest[] {
  return readdirSync(join(folder, name)).flatMap((file) =>
    parsed(readFileSync(join(folder, name, file), 'utf8')),
  )
}

function kustomize(name: string): Manifest[] {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', join(folder, name)], {
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
  return parsed(stdout)
}

const kubectl = spawnSync('kubectl', ['kustomize', '--help']).status === 0
if (!kubectl) console.warn('kubectl is not installed: the overlays are not rendered, the base alone is read')

/** What can be looked at here, rendered once. */
const rendered = new Map<string, readonly Manifest[]>([
  ['base', files('base')],
  ...(kubectl ? overlays : []).map((name): [string, Manifest[]] => [name, kustomize(name)]),
])

function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind)
  expect(found).toHaveLength(1)
  return found[0] as Manifest
}

function partsOf(name: string) {
  const manifests = rendered.get(name) ?? []
  const deployment = only(manifests, 'Deployment')
  const pod = deployment.spec.template.spec
  const [sidecar] = pod.initContainers
  const [client] = pod.containers
  if (sidecar === undefined || client === undefined) throw new Error(`${name}: a container is missing`)
  return { manifests, deployment, pod, sidecar, client }
}

/** The sidecar's own reading of its arguments and variables. */
function settingsOf(sidecar: Container): SidecarSettings {
  const [command, ...args] = sidecar.args ?? []
  expect(command).toBe('sidecar')
  const env = Object.fromEntries((sidecar.env ?? []).map(({ name, value = '' }) => [name, value]))
  const parser = sidecarCommand({} as Terminal)
  expect(parser.parseOptions([...args])).toEqual({ operands: [], unknown: [] })
  return sidecarSettings(parser.opts(), { env, cwd: '/app' })
}

function variable(container: Container, name: string): string | undefined {
  return container.env?.find((each) => each.name === name)?.value
}

describe.each([...rendered.keys()])('%s', (name) => {
  const { manifests, deployment, pod, sidecar, client } = partsOf(name)

  it('is a native sidecar, and the application an ordinary container', () => {
    expect(pod.initContainers).toHaveLength(1)
    expect(sidecar.restartPolicy).toBe('Always')
    expect(client).not.toHaveProperty('restartPolicy')
    expect([sidecar.imagePullPolicy, client.imagePullPolicy]).toEqual(['IfNotPresent', 'IfNotPresent'])
  })

  it('listens on the loopback alone, where the client asks', () => {
    const { address, host } = settingsOf(sidecar)
    expect(host).toBe('127.0.0.1')
    expect(address).toBe(`127.0.0.1:${variable(client, 'SQSSERVICEPORT')}`)
    expect(variable(sidecar, 'APP_PORT')).toBe(variable(client, 'SQSSERVICEPORT'))
  })

  it('is probed from within, on its own HTTP port', () => {
    const { httpPort } = settingsOf(sidecar)
    const url = (path: string): string => `http://127.0.0.1:${httpPort}/${path}`
    const asked = [sidecar.startupProbe, sidecar.readinessProbe, sidecar.livenessProbe].map((probe) =>
      probe?.exec?.command.at(-1),
    )
    expect(asked).toEqual([url('readyz'), url('readyz'), url('healthz')])
  })

  it('gives application and sidecar time to stop', () => {
    const forSidecar = settingsOf(sidecar).graceMs / 1_000
    expect(forSidecar).toBeGreaterThan(0)
    // The application's 30 s, which Kubernetes gives to pods that say nothing; and a margin.
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(30 + forSidecar + 5)
  })

  it('has no privilege', () => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    })
    expect([pod.hostNetwork, pod.hostPID, pod.shareProcessNamespace]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    for (const container of [sidecar, client]) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      expect(container.resources.requests).toHaveProperty('cpu')
      expect(container.resources.limits.memory).toMatch(/^\d+Mi$/)
    }
    expect(manifests.map(({ kind }) => kind)).not.toContain('Role')
    expect(only(manifests, 'ServiceAccount').metadata.name).toBe(pod.serviceAccountName)
  })

  it('gives the application neither credentials nor data', () => {
    expect(client.env?.map((each) => each.name)).toEqual(['SQSSERVICEPORT'])
    expect(client).not.toHaveProperty('envFrom')
    expect(client).not.toHaveProperty('volumeMounts')
  })

  it('mounts what is there, and the data directory lies in it', () => {
    const { engine } = settingsOf(sidecar)
    const mounts = sidecar.volumeMounts ?? []
    expect(mounts.map((mount) => mount.name)).toEqual((pod.volumes ?? []).map((volume) => volume.name))
    if (name === 'base' || engine.kind === 'sqs') expect(mounts).toEqual([])
    else expect(mounts).toEqual([{ name: 'data', mountPath: engine.directory }])
  })

  it('runs one process on embedded data', () => {
    const embedded = (pod.volumes ?? []).length > 0
    if (embedded) expect(deployment.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } })
    else expect(deployment.spec.strategy).toBeUndefined()
  })
})

describe.runIf(kubectl)('the overlays', () => {
  it('take the engines that their names say', () => {
    const engines = overlays.map((name) => settingsOf(partsOf(name).sidecar).engine.kind)
    expect(engines).toEqual(['sqlite', 'sqlite', 'sqs'])
  })

  it('embedded keeps messages on a volume of the pod, embedded-volume on one of its own', () => {
    expect(partsOf('embedded').pod.volumes).toMatchObject([{ name: 'data', emptyDir: {} }])
    const { pod, manifests } = partsOf('embedded-volume')
    const claimName = only(manifests, 'PersistentVolumeClaim').metadata.name
    expect(pod.volumes).toEqual([{ name: 'data', persistentVolumeClaim: { claimName } }])
  })

  it('sqs takes its queue from a ConfigMap and credentials from a Secret that need not exist', () => {
    const { sidecar, manifests, deployment } = partsOf('sqs')
    const facts = only(manifests, 'ConfigMap')
    expect(facts.data).toEqual({ APP_QUEUENAME: 'sqs-sample-1', APP_REGION: 'us-east-1' })
    expect(sidecar.envFrom).toEqual([
      { configMapRef: { name: facts.metadata.name } },
      { secretRef: { name: 'signalbox-sqs', optional: true } },
    ])
    // What `env` says would be stronger.
    expect(variable(sidecar, 'APP_QUEUENAME')).toBeUndefined()
    const { annotations } = deployment.spec.template.metadata
    expect(annotations['eks.amazonaws.com/skip-containers']).toBe('client')
  })
})

it('every kustomization names files that exist, and no file is left out', () => {
  for (const name of ['base', ...overlays]) {
    const text = readFileSync(join(folder, name, 'kustomization.yaml'), 'utf8')
    const [{ resources, patches = [] }] = parsed(text) as unknown as [
      { readonly resources: string[]; readonly patches?: { readonly path?: string }[] },
    ]
    const named = [...resources, ...patches.flatMap(({ path }) => path ?? [])]
    expect(named.filter((file) => !existsSync(join(folder, name, file)))).toEqual([])
    const own = named.filter((file) => file.endsWith('.yaml'))
    expect([...own, 'kustomization.yaml'].toSorted()).toEqual(readdirSync(join(folder, name)).toSorted())
  }
})
