/**
 * The HTTP face of message queues, under `/api/v1/messages`: the same operations as gRPC's unary calls. A receive whose
 * caller hangs up before the answer returns its messages at once.
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { nameFilter, type Access } from '../ports/access.ts'
import type { MessageAttributes, MessageFacts, OutgoingMessage } from '../ports/message-queue.ts'
import {
  deleteBody,
  deleteView,
  messageQueueName,
  peekView,
  receiveBody,
  receiveView,
  redriveBody,
  redriveView,
  sendBody,
  sendView,
  statsView,
  visibilityBody,
  visibilityView,
  type OutgoingView,
} from './api.ts'
import type { Desk } from './desk.ts'

type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

const params = z.object({ queue: messageQueueName })
const tags = ['messages']
const operator: Access = { role: 'operator', noun: 'messages', param: 'queue' }
const viewer: Access = { role: 'viewer', noun: 'messages', param: 'queue' }
const ROOT = '/api/v1/messages'
const MOST = 10

export interface MessagesFaceOptions {
  readonly desk: Desk
}

/** @example app.register(messagesFace({ desk })) */
export function messagesFace({ desk }: MessagesFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    sendingRoutes(app, desk)
    settlingRoutes(app, desk)
    lookingRoutes(app, desk)
    clearingRoutes(app, desk)
  }
}

function sendingRoutes(app: App, desk: Desk): void {
  app.route({
    method: 'POST',
    url: `${ROOT}/:queue/send`,
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
      const messages = request.body.messages.map(outgoing)
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
      return { messages: messages.map((message) => ({ ...message, ...readable(message) })) }
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
      const changes = request.body.changes.map(({ nack = false, ...change }) => ({ ...change, nack }))
      return { results: (await desk.changeVisibility(request.params.queue, changes)).map(entry) }
    },
  })
}

function lookingRoutes(app: App, { service }: Desk): void {
  app.route({
    method: 'GET',
    url: ROOT,
    config: { access: { role: 'viewer', noun: 'messages', filtered: true } },
    schema: {
      tags,
      operationId: 'listMessageQueues',
      summary: 'Message queues by name',
      response: { 200: z.object({ queues: z.array(messageQueueName) }) },
    },
    handler: async (request) => ({
      queues: (await service.listQueues()).filter(nameFilter(request.principal, 'messages')),
    }),
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

/** Results of entries as JSON: of an error, its code and message. */
function entry<T extends { readonly status: string }>(result: T): T {
  if (!('error' in result)) return result
  const { code, message } = result.error as { code: string; message: string }
  return { ...result, error: { code, message } }
}

function outgoing({ attributes, ...message }: OutgoingView): OutgoingMessage {
  const given = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined))
  if (attributes === undefined) return given as unknown as OutgoingMessage
  const decoded: MessageAttributes = Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [
      name,
      { type, value: /^Binary(\.|$)/.test(type) ? Buffer.from(value, 'base64') : value },
    ]),
  )
  return { ...given, attributes: decoded } as OutgoingMessage
}

function readable({ attributes }: Pick<MessageFacts, 'attributes'>) {
  const encoded = Object.entries(attributes).map(([name, { type, value }]) => [
    name,
    { type, value: typeof value === 'string' ? value : Buffer.from(value).toString('base64') },
  ])
  return { attributes: Object.fromEntries(encoded) as Record<string, { type: string; value: string }> }
}

/** Aborts when the client goes before its answer. */
function hangUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}
