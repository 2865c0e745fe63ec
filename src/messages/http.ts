/**
 * The HTTP face of message queues, under `/api/v1/messages`: the same operations as gRPC's unary calls. A receive whose
 * caller hangs up before the answer returns its messages at once.
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import { allows, nameFilter, type Access, type Principal } from '../ports/access.ts'
import {
  deleteBody,
  deleteView,
  messageQueueName,
  messageQueuesView,
  peekView,
  queueFactsView,
  queueOptionsBody,
  receiveBody,
  receiveView,
  redriveBody,
  redriveView,
  sendBody,
  sendView,
  statsView,
  visibilityBody,
  visibilityView,
} from './api.ts'
import type { Desk } from './desk.ts'
import { defined, entry, outgoing, readable } from './http-json.ts'

type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

const params = z.object({ queue: messageQueueName })
const tags = ['messages']
const operator: Access = { role: 'operator', noun: 'messages', param: 'queue' }
const viewer: Access = { role: 'viewer', noun: 'messages', param: 'queue' }
const ROOT = '/api/v1/messages'
const MOST = 10
/** A batch of 1 MiB, with every character escaped. */
const SEND_BYTES = 6 * 1024 * 1024 + 64 * 1024

export interface MessagesFaceOptions {
  readonly desk: Desk
}

/** @example app.register(messagesFace({ desk })) */
export function messagesFace({ desk }: MessagesFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    sendingRoutes(app, desk)
    settlingRoutes(app, desk)
    lookingRoutes(app, desk)
    declaringRoutes(app, desk)
    clearingRoutes(app, desk)
  }
}

function sendingRoutes(app: App, desk: Desk): void {
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/send`,
    bodyLimit: SEND_BYTES,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'sendMessages',
      summary: 'Send up to 10 messages; each has a result of its own',
      params,
      body: sendBody,
      response: { 200: sendView },
    },
    handler: async (request) => {
      const { messages: given } = request.body
      // A redrive would take them there.
      for (const { deadLetterSource: source } of given)
        if (source !== undefined) mayUse(request.principal, source)
      const messages = given.map(outgoing)
      return { results: (await desk.service.send(request.params.queue, messages)).map(entry) }
    },
  })
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/receive`,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'receiveMessages',
      summary: 'Receive messages; they stay with the caller until their visibility ends',
      params,
      body: receiveBody,
      response: { 200: receiveView },
    },
    handler: async (request, reply) => {
      const { queue } = request.params
      const { max = MOST, attributes = 'all', visibilityMs, waitMs } = request.body
      const messages = await desk.receive(queue, {
        max,
        attributes,
        ...(visibilityMs === undefined ? {} : { visibilityMs }),
        ...(waitMs === undefined ? {} : { waitMs }),
        signal: hangUp(reply),
      })
      const socket = reply.raw
      socket.once('close', () => {
        if (!socket.writableFinished) desk.giveBack(queue, messages)
      })
      return {
        messages: messages.map((message) => ({ ...message, ...readable(message) })),
        now: desk.now(),
      }
    },
  })
}

function settlingRoutes(app: App, desk: Desk): void {
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/delete`,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'deleteMessages',
      summary: 'Delete received messages',
      params,
      body: deleteBody,
      response: { 200: deleteView },
    },
    handler: async (request) => ({
      results: (await desk.delete(request.params.queue, request.body.receipts)).map(entry),
    }),
  })
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/visibility`,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'changeMessageVisibility',
      summary: 'Extend, shorten or end the time that received messages stay hidden',
      params,
      body: visibilityBody,
      response: { 200: visibilityView },
    },
    handler: async (request) => {
      const changes = request.body.changes.map(({ nack = false, ...change }) => defined({ ...change, nack }))
      const results = (await desk.changeVisibility(request.params.queue, changes)).map(entry)
      return { results, now: desk.now() }
    },
  })
}

function lookingRoutes(app: App, desk: Desk): void {
  const { service } = desk
  app.route({
    method: 'GET',
    url: ROOT,
    config: { access: { role: 'viewer', noun: 'messages', filtered: true } },
    schema: {
      tags,
      operationId: 'listMessageQueues',
      summary: 'Message queues by name, and what their engine offers',
      response: { 200: messageQueuesView },
    },
    handler: async (request) => ({
      queues: (await service.listQueues()).filter(nameFilter(request.principal, 'messages')),
      limits: service.limits,
      capabilities: { ...service.capabilities, peek: service.canPeek },
      now: desk.now(),
    }),
  })
  app.route({
    method: 'GET',
    url: `${ROOT}/:queue/options`,
    config: { access: viewer },
    schema: {
      tags,
      operationId: 'showMessageQueueOptions',
      summary: 'What the queue does with its messages',
      params,
      response: { 200: queueFactsView },
    },
    handler: (request) => service.describe(request.params.queue),
  })
  app.route({
    method: 'GET',
    url: `${ROOT}/:queue`,
    config: { access: viewer },
    schema: {
      tags,
      operationId: 'showMessageQueue',
      summary: 'How many messages there are, and how old the oldest is',
      params,
      response: { 200: statsView },
    },
    handler: async (request) => ({
      ...(await service.stats(request.params.queue)),
      exact: service.capabilities.stats === 'exact',
    }),
  })
  app.route({
    method: 'GET',
    url: `${ROOT}/:queue/peek`,
    config: { access: viewer },
    schema: {
      tags,
      operationId: 'peekMessages',
      summary: 'Look at messages without receiving them',
      params,
      querystring: z.object({
        limit: z.coerce.number().int().min(1).max(100).optional(),
        after: z.string().optional(),
      }),
      response: { 200: peekView },
    },
    handler: async (request) => {
      const { limit, after } = request.query
      const page = await service.peek(request.params.queue, {
        ...(limit === undefined ? {} : { limit }),
        ...(after === undefined ? {} : { after }),
      })
      return { ...page, messages: page.messages.map((message) => ({ ...message, ...readable(message) })) }
    },
  })
}

function declaringRoutes(app: App, { service }: Desk): void {
  app.route({
    method: 'PUT',
    url: `${ROOT}/:queue`,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'declareMessageQueue',
      summary: 'Make a queue, or give it these options (not one of the configuration; on SQS it must exist)',
      params,
      body: queueOptionsBody,
      response: { 200: queueFactsView },
    },
    handler: async (request) => {
      const options = defined(request.body)
      if (options.deadLetter !== undefined) mayUse(request.principal, options.deadLetter.queue)
      return service.declare(request.params.queue, options)
    },
  })
}

function clearingRoutes(app: App, { service }: Desk): void {
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/purge`,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'purgeMessageQueue',
      summary: 'Delete all messages of a queue',
      params,
      response: { 200: z.object({}) },
    },
    handler: async (request) => {
      await service.purge(request.params.queue)
      return {}
    },
  })
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/redrive`,
    config: { access: operator },
    schema: {
      tags,
      operationId: 'redriveMessages',
      summary: 'Move messages out of a dead-letter queue, back to where they came from',
      params,
      body: redriveBody,
      response: { 200: redriveView },
    },
    handler: async (request, reply) => {
      const { to, rate, limit, after, dryRun } = request.body
      if (to !== undefined) mayUse(request.principal, to)
      return service.redrive(request.params.queue, {
        signal: hangUp(reply),
        ...(to === undefined ? {} : { to }),
        ...(rate === undefined ? {} : { rate }),
        ...(limit === undefined ? {} : { limit }),
        ...(after === undefined ? {} : { after }),
        ...(dryRun === undefined ? {} : { dryRun }),
      })
    },
  })
}

/** Of a queue that is named beside that of the path. @throws SignalboxError `permission_denied` */
function mayUse(principal: Principal, queue: string): void {
  if (allows(principal, operator, queue)) return
  const what = `your scopes do not cover messages '${queue}'; this needs one that does, such as messages:${queue}`
  throw new SignalboxError('permission_denied', what, { details: { neededScope: `messages:${queue}` } })
}

/** Aborts when the client goes before its answer. */
function hangUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}
