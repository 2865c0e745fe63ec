/** The wire beyond the given scenarios: paths, bodies, sign-in, the README's flat form, and what is ours. */
import { describe, expect, it } from 'vitest'
import { playerOverHttp } from './vectors/over-http.ts'
import {
  play,
  type Expectation,
  type Scenario,
  type ScenarioStep,
  type WireRequest,
} from './vectors/scenario.ts'

const path = '/acme/shop/main'
const repository = {
  owner: 'acme',
  name: 'shop',
  base_ref: 'main',
  stabilize_duration_seconds: 60,
  ttl_seconds: 30,
  expected_request_count: 3,
}
const one = { repositories: [{ ...repository, expected_request_count: 1 }] }
const ref = (pr: number): string => `gh-readonly-queue/main/pr-${pr}-abc`

const send = (
  method: string,
  target: string,
  expected: Expectation,
  more: Partial<WireRequest> = {},
): ScenarioStep => ({
  request: { method, path: target, ...more },
  expect: expected,
})
const acquire = (sha: string, priority: number, expected: Expectation, more: object = {}): ScenarioStep =>
  send('POST', `${path}/acquire`, expected, { body: { head_sha: sha, priority, ...more } })
const release = (sha: string, priority: number, status: string, expected: Expectation): ScenarioStep =>
  send('POST', `${path}/release`, expected, { body: { head_sha: sha, priority, status } })
const told = (status: string, more: object = {}): Expectation => ({
  status: 200,
  body_subset: { status, request: { status }, ...more },
})
const conflict: Expectation = { status: 409, body_subset: { error_context: 'lease already acquired' } }
const after = (seconds: number): ScenarioStep => ({ advance_seconds: seconds })

async function plays(steps: readonly ScenarioStep[], more: Partial<Scenario> = {}): Promise<void> {
  const scenario: Scenario = { name: 'own', config: { repositories: [repository] }, steps, ...more }
  expect(await play(scenario, () => playerOverHttp(scenario))).toBeUndefined()
}

describe('the README’s flat form', () => {
  it('plays the successful run', () =>
    plays([
      acquire('gha3', 3, told('pending')),
      acquire('gha1', 1, told('pending')),
      acquire('gha2', 2, told('pending')),
      acquire('gha3', 3, told('acquired', { fence: 1, stacked_pull_requests: [] })),
      release('gha3', 3, 'success', told('completed')),
      acquire('gha1', 1, told('completed')),
      acquire('gha2', 2, told('completed')),
    ]))

  it('plays the failure with a new build coming in right away', () =>
    plays([
      acquire('gha1', 1, told('pending')),
      acquire('gha2', 2, told('pending')),
      acquire('gha3', 3, told('acquired')),
      release('gha3', 3, 'failure', told('failure')),
      acquire('gha1', 1, told('pending')),
      acquire('next', 3, conflict),
      acquire('gha2', 2, told('acquired', { fence: 2 })),
      acquire('gha1', 1, told('pending')),
      release('gha2', 2, 'success', told('completed')),
      acquire('next', 3, conflict),
      acquire('gha1', 1, told('completed')),
      acquire('next', 1, told('pending')),
    ]))
})

describe('paths', () => {
  it('may end in a slash', () =>
    plays([
      send('POST', `${path}/acquire/`, told('pending'), { body: { head_sha: 'a', priority: 1 } }),
      send('GET', `${path}/`, { status: 200, body_subset: { known: [{ head_sha: 'a' }] } }),
    ]))

  it.each([
    '/api/x/y',
    '/metrics/x/y/acquire',
    '/assets/x/y',
    '/k8s/x/y',
    '/console/x/y',
    '/hooks/x/y',
    '/favicon.ico/x/y',
  ])('of the server itself never reach a provider: %s', (target) =>
    plays([
      send('GET', target, { status: 404, body_text_contains: ['"error"'] }),
      send('POST', target, { status: 404, body_text_contains: ['"error"'] }, { body: {} }),
    ]),
  )

  it('take their methods only', () =>
    plays([
      send('PUT', `${path}/acquire`, { status: 405, headers_subset: { Allow: 'POST' } }, { body: {} }),
      send('DELETE', `${path}/release`, { status: 405, headers_subset: { Allow: 'POST' } }),
      send('POST', path, { status: 405, headers_subset: { Allow: 'DELETE, GET, HEAD' } }, { body: {} }),
      send('GET', '/api/v1/turns/x/members', { status: 405, headers_subset: { Allow: 'POST' } }),
    ]))

  it('know providers exactly, case included', () =>
    plays([
      send('GET', '/Acme/shop/main', { status: 404, body_subset: { error: 'unknown provider' } }),
      send('DELETE', '/acme/shop/dev', { status: 404, body_subset: { error: 'unknown provider' } }),
      send('HEAD', path, { status: 200 }),
    ]))

  it('serve a provider whose base ref ends like a verb', () =>
    plays([send('GET', '/acme/shop/x/acquire', { status: 200, body_subset: { base_ref: 'x/acquire' } })], {
      config: { repositories: [{ ...repository, base_ref: 'x/acquire' }] },
    }))

  it('take a base ref with slashes raw and encoded, for every call alike', () =>
    plays(
      [
        send('POST', '/acme/shop/release/1.2/acquire', told('acquired', { fence: 1 }), {
          body: { head_sha: 'a', priority: 1 },
        }),
        send('POST', '/acme/shop/release%2F1.2/acquire', told('acquired', { fence: 1 }), {
          body: { head_sha: 'a', priority: 1 },
        }),
        send('GET', '/acme/shop/release/1.2', { status: 200, body_subset: { base_ref: 'release/1.2' } }),
        send('GET', '/acme/shop/release%2f1%2E2', { status: 200, body_subset: { base_ref: 'release/1.2' } }),
        send('GET', '/acme/shop/release%252F1.2', { status: 404 }),
        send('POST', '/acme/shop/release%2F1.2/release', told('completed'), {
          body: { head_sha: 'a', priority: 1, status: 'success' },
        }),
        send('DELETE', '/acme/shop/release%2F1.2', { status: 200, body_subset: { known: [] } }),
      ],
      { config: { repositories: [{ ...repository, base_ref: 'release/1.2', expected_request_count: 1 }] } },
    ))

  it('lead a browser from the root to the console', () =>
    plays([
      send(
        'GET',
        '/',
        { status: 302, headers_subset: { Location: '/console' } },
        { headers: { Accept: 'text/html' } },
      ),
      send(
        'GET',
        '/',
        { status: 200, body_subset: { 'acme:shop:main': { acquired: null } } },
        { headers: { Accept: '*/*' } },
      ),
    ]))

  it('answer Kubernetes in plain text', () =>
    plays([
      send('GET', '/k8s/liveness', { status: 200, body_text: 'OK' }),
      send('GET', '/k8s/readiness', { status: 200, body_text: 'OK' }),
    ]))
})

describe('bodies', () => {
  const post = (
    raw_body: string,
    expected: Expectation,
    type: string | null = 'application/json',
  ): ScenarioStep =>
    send('POST', `${path}/acquire`, expected, { raw_body, headers: { 'Content-Type': type } })
  const good = '{"head_sha":"a","priority":1}'

  it.each(['json', 'text/plain', 'application/x-www-form-urlencoded', ';;;', null])(
    'are JSON, sent as %s',
    (type) => plays([post(good, told('pending'), type)]),
  )

  it.each([
    '',
    '{',
    `${good} x`,
    `${good}${good}`,
    '"a"',
    '[]',
    '{"head_sha":1,"priority":1}',
    '{"head_sha":"a","priority":"1"}',
    '{"head_sha":"a","priority":1e400}',
  ])('that cannot be read are refused: %s', (text) =>
    plays([post(text, { status: 422, body_text_contains: ['"error"'] })]),
  )

  it('name every field that is wrong, in order', () =>
    plays([
      post('{"HEAD_SHA":"a","head_ref":"main","priority":0,"lease_seconds":0}', {
        status: 400,
        body_subset: {
          error: 'Invalid request',
          error_context: [
            { failed_field: 'acquireRequest.HeadSHA', tag: 'required', value: '' },
            { failed_field: 'acquireRequest.HeadRef', tag: 'ghTempBranchRef', value: '' },
            { failed_field: 'acquireRequest.Priority', tag: 'required', value: '' },
            { failed_field: 'acquireRequest.LeaseSeconds', tag: 'min', value: '1' },
          ],
        },
      }),
      send('GET', path, { status: 200, body_subset: { known: [] } }),
    ]))

  it('may name the whole ref, but no pull request beyond all numbers', () =>
    plays([
      acquire('a', 1, told('pending', { head_ref: ref(7) }), { head_ref: `refs/heads/${ref(7)}` }),
      acquire(
        'b',
        1,
        { status: 400, body_subset: { error_context: [{ tag: 'ghTempBranchRef' }] } },
        {
          head_ref: 'gh-readonly-queue/main/pr-99999999999999999999-abc',
        },
      ),
      send('GET', path, { status: 200, body_subset: { known: [{ head_sha: 'a' }] } }),
    ]))

  it('larger than the limit are refused in the wire’s form', () =>
    plays([
      post(`{"head_sha":"${'a'.repeat(2_000_000)}"}`, {
        status: 413,
        body_subset: { error_context: 'payload_too_large' },
      }),
    ]))
})

describe('answers', () => {
  it('say why, until when, and when to ask again', () =>
    plays([
      acquire('a', 1, { ...told('pending', { retry_after: 10 }), headers_subset: { 'Retry-After': '10' } }),
      acquire('b', 2, told('pending')),
      acquire('c', 3, told('acquired', { fence: 1, expires_at: '2023-01-01T16:00:00Z' })),
      acquire(
        'a',
        1,
        told('pending', {
          reason:
            'commit c (priority 3) holds the lease, for 6 h 0 min more at most; when that one succeeds, this is completed with it',
        }),
      ),
      acquire('c', 3, told('acquired', { fence: 1 })),
      { advance_seconds: 0.25 },
      send('GET', path, {
        status: 200,
        body_subset: {
          last_updated_at: '2023-01-01T10:00:00Z',
          phase: 'held',
          acquired: { request: { head_sha: 'c', status: 'acquired' }, fence: 1 },
          known: [{ head_sha: 'a' }, { head_sha: 'b' }, { head_sha: 'c', status: 'acquired' }],
          config: { stabilize_duration: 60, ttl: 30, expected_request_count: 3, delay_assignment_count: 0 },
        },
      }),
    ]))

  it('to a release of a job that was cancelled or skipped say failure', () =>
    plays(
      ['cancelled', 'timed_out', 'skipped'].flatMap((status, i) => [
        acquire(status, 1, told('acquired', { fence: i + 1 })),
        release(status, 1, status, told('failure')),
        release(status, 1, status, told('failure')),
      ]),
      { config: one },
    ))

  it('to a completed waiter’s release are a success that changes nothing', () =>
    plays([
      acquire('a', 1, told('pending')),
      acquire('b', 2, told('pending')),
      acquire('c', 3, told('acquired')),
      release('c', 3, 'success', told('completed')),
      acquire('a', 1, told('completed')),
      release('a', 1, 'failure', told('completed')),
      acquire('a', 1, told('completed')),
    ]))
})

describe('sign-in', () => {
  const withUsers = { config: { ...one, auth: { basic: { users: { ci: 's3cret' } } } } }
  const as = (text: string): Partial<WireRequest> => ({
    headers: { Authorization: `Basic ${Buffer.from(text).toString('base64')}` },
  })

  it('is asked of everybody once there are users, but not of health and metrics', () =>
    plays(
      [
        acquire('a', 1, { status: 401, body_subset: { error_context: 'unauthenticated' } }),
        send('GET', path, { status: 401 }, as('ci:wrong')),
        send('GET', path, { status: 401 }, as('nobody:s3cret')),
        send('GET', path, { status: 401 }, as('ci')),
        send('GET', path, { status: 200 }, as('ci:s3cret')),
        send('DELETE', path, { status: 200 }, as('ci:s3cret')),
        send('GET', '/api/v1/turns', { status: 403 }, as('ci:s3cret')),
        send('GET', '/api/v1/turns', { status: 401 }),
        send('GET', '/metrics', { status: 200 }),
        send('GET', '/k8s/readiness', { status: 200 }),
        send('GET', '/', { status: 302 }, { headers: { Accept: 'text/html' } }),
      ],
      withUsers,
    ))
})

describe('providers', () => {
  it('that the file does not list are made with --any-repository, and are there after a restart', () =>
    plays(
      [
        send('GET', '/o/r/b', { status: 404 }),
        send('POST', '/o/r/b/release', { status: 404 }, { body: {} }),
        send('POST', '/o/r/b/acquire', told('pending'), { body: { head_sha: 'a', priority: 1 } }),
        { restart: true },
        send('GET', '/', {
          status: 200,
          body_subset: { 'o:r:b': { known: [{ head_sha: 'a' }], config: { ttl: 12 } } },
        }),
      ],
      { raw_yaml: 'leases: { anyRepository: true, ttl: "${TTL:-12s}" }' },
    ))

  it('take what the file does not say from the defaults', () =>
    plays(
      [
        send('GET', '/o/r/b', {
          status: 200,
          body_subset: {
            config: {
              stabilize_duration: 300,
              ttl: 45,
              expected_request_count: 4,
              max_lease_seconds: 21_600,
            },
          },
        }),
      ],
      {
        raw_yaml:
          'repositories:\n  - owner: ${OWNER}\n    name: r\n    base_ref: b\n    ttl_seconds: ${TTL:-45}\n',
        env: { OWNER: 'o' },
      },
    ))
})

describe('metrics', () => {
  it('have the reference’s names, labels in alphabetical order', () =>
    plays([
      acquire('a', 1, told('pending')),
      acquire('a', 0, { status: 400 }),
      send('GET', path, { status: 200 }),
      send('GET', '/metrics', {
        status: 200,
        body_text_contains: [
          'aks_mq_lease_service_provider_lease_requests_total{provider_id="acme:shop:main"} 1',
          'aks_mq_lease_service_http_requests_total{method="POST",route_name="provider.acquire",status_code="200"} 1',
          'aks_mq_lease_service_http_requests_total{method="POST",route_name="provider.acquire",status_code="400"} 1',
          'aks_mq_lease_service_http_requests_total{method="GET",route_name="provider.show",status_code="200"} 1',
          'aks_mq_lease_service_http_request_duration_seconds_count{method="GET",route_name="provider.show",status_code="200"} 1',
          'aks_mq_lease_service_requests_in_progress_total{method="POST"} 0',
          'signalbox_leases_events_total{event="joined",provider="acme:shop:main"} 1',
        ],
      }),
    ]))
})

describe('time', () => {
  it('takes a dead holder’s lease after max_lease_seconds, and refuses its release', () =>
    plays(
      [
        acquire('a', 1, told('acquired', { fence: 1, expires_at: '2023-01-01T10:02:00Z' })),
        after(119),
        acquire('b', 2, conflict),
        after(1),
        acquire('b', 2, told('acquired', { fence: 2 })),
        release('a', 1, 'success', {
          status: 400,
          body_subset: { error_context: 'commit a does not hold the lease' },
        }),
      ],
      { config: { repositories: [{ ...repository, expected_request_count: 1, max_lease_seconds: 120 }] } },
    ))
})
